"""Whom does the model treat worse, what did it learn by mistake, and when should nobody trust it?"""
