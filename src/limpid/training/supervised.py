"""The supervised loop: how a network learns from rows with a target.

Read `_Loop.run` first; it is the story. Which rows make up a step stands in batches.py, the learning rate in
schedules.py, what can go wrong in guards.py, what is saved in state.py and resume.py.
"""

from __future__ import annotations

import copy
import gc
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path

import torch
from torch import Tensor, nn

from limpid.core.contracts import Metric, Task
from limpid.core.events import GuardActed, Listener, Noted, TrainingEnded, unheard
from limpid.data.encoded import Encoded
from limpid.planning.assemble import rows_at_once
from limpid.planning.augmentation import Augmentation
from limpid.planning.train_spec import TrainSpec
from limpid.training import guards
from limpid.training.advice import Adviser
from limpid.training.arithmetic import arithmetic, seed_step, set_layout
from limpid.training.batches import Batch, Order, Source, cut, pieces, row_lengths
from limpid.training.clock import Clock
from limpid.training.course import Course
from limpid.training.examples import Examples
from limpid.training.fairness import Penalty, reweighed
from limpid.training.interruption import Interruption
from limpid.training.judge import Interrupted, Judge, Verdict
from limpid.training.lr_range import lr_range
from limpid.training.objective import Loss, batch_losses, example_losses, outputs_of
from limpid.training.optim import Optimisers, total_norm
from limpid.training.policies import Average, clip, load_values
from limpid.training.reporter import Reporter
from limpid.training.resume import Memory, identity
from limpid.training.schedules import is_better, rate_factor
from limpid.training.state import Learner, Ledger, Outcome, Snapshot, update_ratio
from limpid.training.watch import Watch

_SNAPSHOT_STEPS = 50
_VALID_ROWS = 2048


def fit(
    model: nn.Module,
    task: Task,
    train: Encoded,
    valid: Encoded | None,
    spec: TrainSpec,
    *,
    seed: int,
    device: str = "cpu",
    folder: Path | None = None,
    resume: bool = False,
    tell: Listener = unheard,
    deadline: float | None = None,
    loss: Loss | None = None,
    metric: Metric | None = None,
    columns: Mapping[str, Sequence[str]] | None = None,
    augment: Augmentation | None = None,
) -> Outcome:
    """Train a network in place; on return it holds the best weights and is in evaluation mode.

    Args:
        model: maps a batch {"INPUT.PART": (B,...)} to (B,K), or (B,M,K) with members.
        task: target, loss, prediction and metrics.
        train, valid: encoded rows; without validation rows the last weights are kept.
        spec: settings without any "auto".
        seed: what order and dropout follow from.
        device: "cpu" or "cuda".
        folder: of the checkpoints, or None.
        resume: whether to go on from a checkpoint where there is one; a finished training returns at once.
        tell: hears events.
        deadline: `time.monotonic()` value to be done by, or None; without it no decision reads a clock.
        loss: (outputs, prepared target) -> (B,), instead of the task's.
        metric: instead of the task's first.
        columns: names of the columns of each input, for error messages.
        augment: changes training rows before the network reads them.

    Raises:
        TrainingError: the training diverged after all retries, or not even one row fits into memory.
        RunError: the folder cannot be written or belongs to another training.
        RequestError: the spec still says "auto", or the loss is not per example.

    Example:
        >>> outcome = fit(model, task, train, valid, spec, seed=0)  # doctest: +SKIP
        >>> outcome.stopped  # doctest: +SKIP
        'early'
    """
    guards.check_request(spec, train)
    assert spec.threads != "auto"
    train = reweighed(train, spec)
    valid = valid if valid is not None and len(valid) else None
    with arithmetic(spec.threads, device), Interruption() as interruption:
        model.to(device)
        set_layout(model, spec.channels_last is True)
        loop = _Loop(
            model,
            task,
            train,
            valid,
            spec,
            seed=seed,
            device=device,
            memory=Memory(folder, identity(model, train, valid, spec, seed, device), tell),
            tell=tell,
            clock=Clock(deadline, spec.checkpoint_seconds),
            interruption=interruption,
            loss=loss or task.loss,
            metric=metric or task.metrics[0],
            columns=columns or {},
            augment=augment,
        )
        loop.begin(resume=resume)
        return loop.run()


class _Loop:
    """One training; its methods are the steps of the story, in the order in which they happen."""

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        train: Encoded,
        valid: Encoded | None,
        spec: TrainSpec,
        *,
        seed: int,
        device: str,
        memory: Memory,
        tell: Listener,
        clock: Clock,
        interruption: Interruption,
        loss: Loss,
        metric: Metric,
        columns: Mapping[str, Sequence[str]],
        augment: Augmentation | None,
    ) -> None:
        assert spec.batch != "auto" and spec.epochs != "auto" and spec.ema != "auto" and spec.micro_batch != "auto"
        self.model, self.task, self.spec, self.seed, self.device = model, task, spec, seed, device
        self.memory, self.tell, self.clock, self.interruption = memory, tell, clock, interruption
        self.loss, self.metric, self.columns = loss, metric, columns
        self.rows = train
        self.train = Source(train, task.prepare_target, device)
        self.judge: Judge | None = None
        if valid is not None:
            rows = Source(valid, task.prepare_target, device)
            self.judge = Judge(rows, valid, task, metric, loss, str(spec.precision), lambda: interruption.asked)
        self.order = Order(len(train), spec.batch * spec.accumulate, seed, spec.epoch_steps, row_lengths(train))
        self.course = Course(spec.epochs * self.order.steps_per_epoch, spec.course)
        self.shown = Examples(augment, spec, seed, self.course)
        self.snapshot_every = min(_SNAPSHOT_STEPS, self.order.steps_per_epoch)
        self.statistics = guards.batch_statistics(model)
        self.least_rows = guards.least_rows(model)
        self.average = Average(model, spec.ema) if spec.ema else None
        self.optimisers = Optimisers(model, spec)
        self.learner = Learner(model, self.optimisers, self.average)
        self.verdict: Verdict | None = None
        self.ledger = Ledger(
            lr=0.0,
            micro_batch=min(spec.batch, spec.micro_batch),
            valid_rows=rows_at_once(model, _VALID_ROWS),
            turns=[list(turn) for turn in spec.course],
        )
        self.reporter = Reporter(tell, self.order, spec.epochs, metric, clock)
        self.adviser = Adviser(tell, self.train, self.judge, loss, str(spec.precision))
        self.penalty = Penalty(task, spec, train.group)
        memory.watch = self.watch = Watch(model, task, self.train, loss, spec, tell)

    def begin(self, *, resume: bool) -> None:
        """Start at step 0, or where the newest checkpoint stands."""
        if not resume:
            self.memory.refuse_old()
        saved = self.memory.find() if resume else None
        if saved is not None:
            self.ledger = self.memory.load(saved, self.learner)
            self.course.turns = [(step, end) for step, end in self.ledger.turns]
            self.optimisers.set_rate(self._rate())
            return
        guards.check_weights(self.model, 0)
        if self.spec.lr == "range":
            self.ledger.lr = self._range_test()
        else:
            assert self.spec.lr != "auto"
            self.ledger.lr = self.spec.lr

    def _range_test(self) -> float:
        found = lr_range(
            lambda: copy.deepcopy(self.model),
            self.task,
            self.rows,
            self.spec,
            seed=self.seed,
            device=self.device,
            loss=self.loss,
            interrupted=lambda: self.interruption.asked,
        )
        if self.interruption.asked:
            return 0.0
        text = f"learning rate {found.suggested:g} from a range test of {len(found.lrs)} steps"
        self.tell(Noted("info", text))
        return found.suggested

    def run(self) -> Outcome:
        """Step by step until something ends it."""
        if self.ledger.stopped:
            return self._leave()
        self.reporter.started(self.model, self.learner.position, len(self.train), self.device, str(self.spec.precision))
        self.model.train()
        while True:
            if self.interruption.asked:
                return self._interrupted()
            if self._epoch_is_over():
                self._end_epoch()
            elif reason := self._reason_to_stop():
                return self._finish(reason)
            else:
                self._step()
                self._keep_time()
                if not self._epoch_is_over() and self.clock.save_is_due(epoch_ended=False):
                    self._save()

    def _epoch_is_over(self) -> bool:
        position = self.learner.position
        return position.step == (len(position.scores) + 1) * self.order.steps_per_epoch

    def _reason_to_stop(self) -> str | None:
        position, epochs = self.learner.position, len(self.learner.position.scores)
        assert self.spec.patience != "auto"
        if position.step >= self.course.end:
            return "budget" if self.course.turns else "epochs"
        if self.spec.stop_step is not None and position.step >= self.spec.stop_step:
            return "budget"
        if self.judge is not None and self.spec.patience and epochs - self.ledger.best_epoch >= self.spec.patience:
            return "early"
        ratio = 0.0 if self.judge is None else len(self.judge) * self.order.steps_per_pass / len(self.train)
        if self.clock.must_stop(valid_to_train=ratio):
            return "budget"
        return None

    def _step(self) -> None:
        """One step of the optimiser, or a guard's answer to what went wrong in it."""
        position = self.learner.position
        step = position.step
        # Before the watch starts: a pass over very many rows is shuffled for seconds, which no other step repeats.
        index = self.order.index(step)
        began = self.clock.now()
        self.optimisers.thaw(self.course.place(step), self.course.steps)
        draft: Snapshot | None = None
        memory_error = ""
        try:
            if step % self.snapshot_every == 0:
                draft = self.learner.capture()
            batch = self.shown(self.train.take(index), step, self.order.passes(step))
            self.watch.begin(self.order.passes(step))
            loss, norm = self._gradients(batch, step)
            problem = guards.trouble(position, loss, norm)
            if problem is None:
                # Only now is it known that the weights at this step were good.
                self.memory.good = draft if draft is not None and not position.spike_streak else self.memory.good
                self._update(norm, batch, loss, draft)
        except (RuntimeError, MemoryError) as error:
            if not guards.is_out_of_memory(error):
                raise
            # Not handled here: the error's traceback keeps the tensors of the failed pass alive.
            memory_error = str(error) or "out of memory"
            problem = "memory"
        if problem == "memory":
            self._shrink(draft or self.memory.good, memory_error)
        elif problem is not None:
            self._roll_back(self.memory.good or draft, problem, batch, loss)
        else:
            self.clock.step_took(self.clock.now() - began, len(batch))
            self.reporter.step(position.step, loss, self.optimisers.rate, self._seconds())

    def _gradients(self, batch: Batch, step: int) -> tuple[float, float]:
        """Weighted mean loss of the step, and the norm of its gradient, which the parameters now hold."""
        seed_step(self.seed, step, self.device)
        self.optimisers.zero_grad()
        parts = pieces(len(batch), self.ledger.micro_batch, self.least_rows)
        total: Tensor | None = None
        for part in parts:
            piece = batch if len(parts) == 1 else cut(batch, part)
            outputs = outputs_of(self.model, piece, str(self.spec.precision))
            own = example_losses(self.loss, outputs, piece.target)
            value = batch_losses(self.loss, outputs, piece, own).sum() / len(batch)
            value = value + self.penalty(outputs, piece) * (len(piece) / len(batch))
            self.watch.saw(piece, outputs, own)
            value.backward()  # type: ignore[no-untyped-call]
            total = value.detach() if total is None else total + value.detach()
        assert total is not None
        watched = [total_norm(self.optimisers.gradients()).to(total), total_norm(self.statistics).to(total)]
        loss, norm, statistics = torch.stack((total, *watched)).tolist()  # the only wait for the device in a step
        # Batch norm hides an extreme input from the loss, but keeps it in its statistics.
        return loss, norm if isfinite(statistics) else statistics

    def _update(self, norm: float, batch: Batch, loss: float, before: Snapshot | None) -> None:
        """Move the weights, their average and the running sums."""
        position = self.learner.position
        assert self.spec.clip != "auto"
        self.watch.before_update(position.step, before)
        clip(self.optimisers.gradients(), norm, self.spec.clip)
        self.optimisers.set_rate(self._rate())
        self.optimisers.step()
        if self.average is not None:
            self.average.update(position.step)
        position.add_step(loss, norm, len(batch))
        self.watch.after_update(position.step, before, batch.index, self.ledger.micro_batch)
        if before is not None:
            position.ratio_sum += update_ratio(self.model, before)
            position.ratio_count += 1

    def _rate(self) -> float:
        position = self.learner.position
        factor = rate_factor(
            self.spec,
            self.course.place(position.step),
            self.course.steps,
            scores=position.scores,
            greater_is_better=self.metric.greater_is_better,
        )
        return self.ledger.lr * self.ledger.lr_scale * factor

    def _keep_time(self) -> None:
        """Move the end of the schedule to where the clock allows it to be; a course that was given stays."""
        step = self.learner.position.step
        if self.spec.course or step % self.course.check_every or step >= self.course.end:
            return
        left = self.course.end - step
        room = self.clock.room(-(-left // self.order.steps_per_epoch))
        if room is None:
            return
        first = not self.course.turns
        if self.course.fit(step, room):
            self.ledger.turns = [list(turn) for turn in self.course.turns]
            if first:
                text = f"steps take longer than was measured: {self.course.end:,} of {self.course.steps:,} will fit"
                self.tell(Noted("look", f"{text}, and the rate falls to its end by then"))

    def _roll_back(self, good: Snapshot | None, problem: str, batch: Batch, loss: float) -> None:
        """Go back to the last good weights with half the rate; give up where that cannot help or did not."""
        step = self.learner.position.step
        # Taken again from their source: what is wrong there stays wrong at any rate.
        again = self.train.take(batch.index)
        guards.check_batch(again, self.train.rows, self.columns, step)
        if self.ledger.rollbacks >= guards.MOST_ROLLBACKS:
            lr = self.ledger.lr * self.ledger.lr_scale
            raise guards.diverged(
                self.model, again, self.train.rows, self.columns, step=step, loss=loss, what=problem, lr=lr
            )
        assert good is not None
        self.learner.restore(good)
        self.watch.layers.rolled_back(self.learner.position.step)
        self.ledger.rollbacks += 1
        self.ledger.lr_scale *= 0.5
        what = "the loss or its gradient is not finite" if problem == "not finite" else "the loss left its course"
        lr = self.ledger.lr * self.ledger.lr_scale
        did = f"back to step {self.learner.position.step} with half the learning rate, {lr:g} at its peak"
        self.tell(GuardActed(problem, step, what, did))

    def _shrink(self, good: Snapshot | None, error: str) -> None:
        """Halve the micro-batch; the step, and so the gradient, stays the same."""
        step = self.learner.position.step
        if self.ledger.micro_batch <= self.least_rows:
            raise guards.no_memory(self.ledger.micro_batch, error)
        self.optimisers.zero_grad()
        gc.collect()
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()
        if good is not None:
            # Back to a whole state: the failed step may have moved statistics of batch norm or some of the weights.
            self.learner.restore(good)
        self.ledger.micro_batch = max(self.least_rows, self.ledger.micro_batch // 2)
        did = f"{self.ledger.micro_batch} rows at a time from here on, with the same rows in a step"
        self.tell(GuardActed("memory", step, "memory ran out", did))

    def _end_epoch(self) -> None:
        """Validate, keep the best weights, give advice, save. Where it is interrupted, the epoch stays open."""
        position = self.learner.position
        began = self.clock.now()
        try:
            verdict = self._validate()
        except Interrupted:
            return
        self.clock.validation_took(self.clock.now() - began)
        if verdict is None and self.judge is not None:
            return  # rolled back
        position.scores.append(None if verdict is None else verdict.score)
        position.losses.append(None if verdict is None else verdict.loss)
        best = self._keep_if_best(verdict, len(position.scores))
        self.adviser.look(self.model, position, self.ledger, verdict)
        self.verdict = verdict
        self.reporter.epoch(position, verdict, best, self.optimisers.rate, self._seconds())
        position.begin_epoch()
        if self.clock.save_is_due(epoch_ended=True):
            self._save()

    def _validate(self) -> Verdict | None:
        """Judge the average where there is one, else the weights; None without validation rows or after a roll-back."""
        if self.judge is None:
            return None
        if not self.learner.finite():
            step = self.learner.position.step - 1
            last = self.train.take(self.order.index(step))
            self._roll_back(self.memory.good, "not finite", last, float("nan"))
            return None
        if self.average is None:
            return self.judge.verdict(self.model, self.ledger)
        with self.average.applied():
            return self.judge.verdict(self.model, self.ledger)

    def _keep_if_best(self, verdict: Verdict | None, epoch: int) -> bool:
        """Copy the weights that were validated, if no others were better."""
        ledger = self.ledger
        if verdict is None or verdict.score is None:
            return False
        if not is_better(verdict.score, ledger.best_score, self.metric.greater_is_better):
            return False
        ledger.best_score, ledger.best_loss = verdict.score, verdict.loss
        ledger.best_epoch, ledger.best_step = epoch, self.learner.position.step
        self.memory.best = self.learner.model_values()
        return True

    def _save(self, *, must: bool = False) -> None:
        began = self.clock.now()
        self.memory.save(self.learner, self.ledger, self._seconds(), must=must)
        self.clock.save_took(self.clock.now() - began)

    def _interrupted(self) -> Outcome:
        if self.ledger.lr:  # else the range test was cut short and nothing is worth keeping
            self._save(must=True)
        return self._leave("interrupted")

    def _finish(self, reason: str) -> Outcome:
        """Judge what was not judged yet, write the final state, and hand over the best weights."""
        position = self.learner.position
        unjudged = position.step_count > 0 or self.course.steps == 0
        if unjudged and self.judge is not None:
            try:
                verdict = self._validate()
            except Interrupted:
                return self._interrupted()
            if verdict is not None:
                self.verdict = verdict
                best = self._keep_if_best(verdict, len(position.scores) + (position.step_count > 0))
                self.reporter.epoch(position, verdict, best, self.optimisers.rate, self._seconds())
        if self.memory.best is None:
            self._keep_last()
        self.adviser.conclude(self.learner.position, self.ledger, self.verdict)
        self.ledger.stopped = reason
        self.memory.finish(self.learner, self.ledger, self._seconds())
        return self._leave()

    def _keep_last(self) -> None:
        """Without a finite score, the last weights that are finite."""
        if not self.learner.finite() and self.memory.good is not None:
            self.learner.restore(self.memory.good)
        if self.judge is not None:
            self.tell(Noted("warning", f"no epoch had a finite {self.metric.name}; the last weights are kept"))
        self.memory.best = self.learner.model_values()
        self.ledger.best_epoch = len(self.learner.position.scores)
        self.ledger.best_step = self.learner.position.step

    def _leave(self, stopped: str | None = None) -> Outcome:
        """Put the best weights in and say how it ended."""
        if self.memory.best is not None:
            load_values(self.model, self.memory.best)
        self.optimisers.zero_grad()
        self.optimisers.thaw(self.course.steps, self.course.steps)
        self.model.eval()
        position, ledger = self.learner.position, self.ledger
        outcome = Outcome(
            stopped=stopped or ledger.stopped,
            steps=position.step,
            epochs=len(position.scores),
            best_epoch=ledger.best_epoch,
            best_step=ledger.best_step,
            metric=self.metric.name,
            score=ledger.best_score,
            valid_loss=ledger.best_loss,
            lr=ledger.lr * ledger.lr_scale,
            rollbacks=ledger.rollbacks,
            micro_batch=ledger.micro_batch,
            seconds=self._seconds(),
            turns=tuple(self.course.turns),
            watched=self.watch.conclude(),
        )
        score = float("nan") if outcome.score is None else outcome.score
        self.tell(
            TrainingEnded(outcome.stopped, outcome.steps, outcome.epochs, outcome.best_epoch, score, outcome.seconds)
        )
        return outcome

    def _seconds(self) -> float:
        return self.ledger.seconds + self.clock.seconds()
