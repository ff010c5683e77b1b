"""The faces as the design fixes them: options, answers, errors in four parts, exit statuses."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limpid import cli
from limpid.core.errors import DataError
from limpid.core.events import CheckpointSaved
from limpid.core.repairs import Repair

Run = Callable[..., tuple[int, str, str]]
TRAIN_OPTIONS = (
    *("--target", "--task", "--valid", "--test", "--net", "--budget", "--device", "--out", "--seed", "--set"),
    *("--recipe", "--resume", "--json", "--quiet"),
)
FACES = {
    "train": TRAIN_OPTIONS,
    "plan": TRAIN_OPTIONS,
    "inspect": ("--target", "--json", "--html"),
    "predict": ("--out", "--keep"),
    "evaluate": ("--json",),
    "explain": ("--row", "--fixed", "--surface", "--json", "--html"),
    "audit": ("--group", "--mitigate", "--fail-on", "--json"),
    "trace": ("--row", "--json", "--html"),
    "report": (),
    "compare": ("--json",),
    "doctor": ("--json",),
}
FOUR_PARTS = re.compile(r"error: .+\n  where:    .+\n  expected: .+\n  fix:      .+\n")


def names(help_text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z]+(?:-[a-z]+)*", help_text))


@pytest.mark.parametrize("verb", FACES)
def test_help_lists_the_options_of_the_design(verb: str, limpid: Run) -> None:
    status, out, _ = limpid(verb, "--help")
    assert status == 0
    assert names(out) == {*FACES[verb], "--help"} | (names(out) & {"--recipe", "--resume", "--json"} & set(FACES[verb]))


def test_help_lists_the_verbs_that_work_and_no_others(limpid: Run) -> None:
    status, out, _ = limpid("--help")
    assert status == 0
    assert set(re.findall(r"^│ ([a-z]+) ", out, re.M)) == set(FACES) == set(cli.VERBS)


def test_without_words_the_help_is_shown(limpid: Run) -> None:
    status, out, _ = limpid()
    assert status == 0
    assert "inspect" in out


def test_the_version(limpid: Run) -> None:
    assert limpid("--version") == (0, f"limpid {cli.__version__}\n", "")


@pytest.mark.parametrize("words", [("--help",), *((verb, "--help") for verb in FACES)], ids=" ".join)
def test_help_imports_nothing_heavy(words: tuple[str, ...]) -> None:
    code = (
        "import sys\nfrom limpid.cli import main\n"
        f"main({list(words)!r})\n"
        "heavy = {'torch', 'polars', 'pydantic', 'numpy', 'sklearn', 'scipy'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_train_passes_every_option_on(limpid: Run, recorder: Any) -> None:
    status, _, _ = limpid(
        *("train", "a.csv", "--target", "y", "--task", "regression", "--valid", "v.csv", "--test", "t.csv"),
        *("--net", "mlp", "--budget", "60s", "--device", "cpu", "--out", "runs/a", "--seed", "3"),
        *("--set", "train.lr=0.01", "--set", "train.epochs=2", "--recipe", "plan.yaml", "--resume", "--quiet"),
    )
    asked = dict(recorder.asked)
    assert status == 0
    assert callable(asked.pop("listen"))
    assert asked.pop("started") > 0
    assert asked == {
        "data": "a.csv",
        "target": "y",
        "task": "regression",
        "valid": "v.csv",
        "test": "t.csv",
        "net": "mlp",
        "budget": "60s",
        "device": "cpu",
        "out": Path("runs/a"),
        "seed": 3,
        "set": ["train.lr=0.01", "train.epochs=2"],
        "recipe": Path("plan.yaml"),
        "resume": True,
        "quiet": True,
    }


def test_the_arguments_are_those_of_the_function(recorder: Any, limpid: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import inspect as signatures

    from limpid.api import inspection, launch

    for verb, function in (("train", launch.train), ("plan", inspection.plan)):
        recorder.calls.clear()
        assert limpid(verb, "a.csv")[0] == 0
        signatures.signature(function).bind(**recorder.asked)


@pytest.mark.parametrize(
    ("words", "target"),
    [
        ((), None),
        (("--target", "y"), "y"),
        (("--target", "y,z"), ["y", "z"]),
        (("--target", "y", "--target", "z"), ["y", "z"]),
        (("--target", " y , z "), ["y", "z"]),
    ],
)
def test_one_target_or_several(words: tuple[str, ...], target: Any, limpid: Run, recorder: Any) -> None:
    limpid("train", "a.csv", *words)
    assert recorder.asked["target"] == target


def test_json_is_the_last_line_of_stdout_and_the_summary_goes_to_stderr(limpid: Run, last_json: Any) -> None:
    status, out, err = limpid("train", "a.csv", "--json")
    assert status == 0
    assert last_json(out) == {"run": "runs/one", "stopped": "early"}
    assert len(out.splitlines()) == 1
    assert "a summary table" in err


def test_without_json_the_summary_is_the_answer(limpid: Run) -> None:
    status, out, _ = limpid("train", "a.csv")
    assert status == 0
    assert "a summary table" in out


def test_quiet_prints_nothing(limpid: Run) -> None:
    assert limpid("train", "a.csv", "--quiet") == (0, "", "")


def test_data_may_be_left_out_only_where_a_run_says_what_they_are(limpid: Run, recorder: Any) -> None:
    status, _, err = limpid("train")
    assert status == 2
    assert FOUR_PARTS.search(err)
    assert limpid("train", "--out", "runs/a", "--resume")[0] == 0
    assert recorder.asked["data"] is None


@pytest.mark.parametrize(
    ("words", "what", "fix"),
    [
        (("trian", "x.csv"), "no verb 'trian'", "did you mean 'train'?"),
        (("train", "x.csv", "--targt", "y"), "no option --targt", "did you mean '--target'?"),
        (("train", "x.csv", "--nett=mlp"), "no option --nett", "did you mean '--net'?"),
        (("predict",), "RUN is missing", "limpid predict --help"),
        (("predict", "r", "x.csv"), "--out is missing", "limpid predict --help"),
        (("evaluate", "a", "b", "c"), "unexpected extra argument", "limpid evaluate --help"),
        (("train", "x.csv", "--seed", "many"), "'--seed'", "limpid train --help"),
        (("train", "x.csv", "--target"), "'--target'", "--help"),
        (("--foo",), "no option --foo", "'--debug'"),
    ],
)
def test_what_cannot_be_understood_is_said_in_four_parts(
    words: tuple[str, ...], what: str, fix: str, limpid: Run
) -> None:
    status, out, err = limpid(*words)
    assert status == 2
    assert out == ""
    assert FOUR_PARTS.fullmatch(err), err
    assert what in err.splitlines()[0]
    assert fix in err.splitlines()[3]


def test_a_mistake_is_shown_in_four_parts_and_as_json(limpid: Run, recorder: Any, last_json: Any) -> None:
    recorder.raises["train"] = DataError("it is empty", where="a.csv", expected="rows", fix="add some")
    status, out, err = limpid("train", "a.csv", "--json")
    assert status == 2
    assert FOUR_PARTS.fullmatch(err)
    assert last_json(out)["error"] == {
        "kind": "DataError",
        "what": "it is empty",
        "where": "a.csv",
        "expected": "rows",
        "fix": "add some",
    }


def test_a_wrong_option_is_json_too(limpid: Run, last_json: Any) -> None:
    _, out, _ = limpid("train", "--json", "--bugdet", "3s")
    assert last_json(out)["error"]["fix"] == "did you mean '--budget'?"


def test_a_fault_of_ours_is_one_line_and_a_traceback_in_a_file(limpid: Run, recorder: Any) -> None:
    recorder.raises["inspect"] = ValueError("two\nlines")
    status, out, err = limpid("inspect", "a.csv")
    assert status == 1
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("a fault of ours")
    found = re.search(r"traceback in (\S+)\)", err)
    assert found is not None
    path = Path(found.group(1))
    assert "ValueError: two" in path.read_text(encoding="utf-8")
    path.unlink()


def test_debug_shows_the_traceback(limpid: Run, recorder: Any) -> None:
    recorder.raises["inspect"] = ValueError("odd")
    status, _, err = limpid("--debug", "inspect", "a.csv")
    assert status == 1
    assert "Traceback (most recent call last)" in err


def test_an_interrupted_training_says_how_to_go_on(limpid: Run, recorder: Any) -> None:
    def saved(named: dict[str, Any]) -> None:
        named["listen"](CheckpointSaved(3, "runs/new/checkpoint/step-3.json"))

    recorder.before["train"] = saved
    recorder.raises["train"] = KeyboardInterrupt()
    status, out, err = limpid("train", "a.csv")
    assert status == 130
    assert out == ""
    assert "limpid train --out runs/new --resume" in err


def test_any_other_verb_can_be_interrupted(limpid: Run, recorder: Any) -> None:
    recorder.raises["inspect"] = KeyboardInterrupt()
    assert limpid("inspect", "a.csv") == (130, "", "interrupted\n")


def test_plan_prints_yaml_into_a_pipe(limpid: Run, recorder: Any) -> None:
    assert limpid("plan", "a.csv") == (0, "seed: 0\n", "")
    assert "resume" not in recorder.asked


@pytest.mark.parametrize(("out", "file"), [("runs/a", "runs/a/plan.yaml"), ("mine.yaml", "mine.yaml")])
def test_plan_writes_into_the_run_folder(out: str, file: str, limpid: Run, recorder: Any) -> None:
    limpid("plan", "a.csv", "--out", out)
    assert recorder.asked["out"] == Path(file)


def test_inspect_writes_a_page(limpid: Run, tmp_path: Path, last_json: Any) -> None:
    page = tmp_path / "page.html"
    status, out, _ = limpid("inspect", "a.csv", "--html", str(page), "--json")
    assert status == 0
    assert page.read_text(encoding="utf-8") == "<html>"
    assert last_json(out) == {"verb": "inspect"}


def test_evaluate_prints_figures_and_repairs(limpid: Run, recorder: Any) -> None:
    recorder.answers["evaluate"].repairs = (Repair("age", "could not be read", 2, "old"),)
    status, out, err = limpid("evaluate", "runs/a", "b.csv")
    assert status == 0
    assert out == "rmse  1.5\nr2    not defined\nrows  3\n"
    assert err == "note: age: 2 could not be read (such as 'old')\n"


def test_predict_says_how_many_rows_it_wrote(limpid: Run, recorder: Any) -> None:
    status, out, err = limpid("predict", "runs/a", "b.csv", "--out", "p.csv", "--keep", "id", "--keep", "name")
    assert (status, out) == (0, "")
    assert "3 rows written to p.csv" in err
    assert recorder.calls[0][1:] == (
        (Path("runs/a"), "b.csv"),
        {"out": Path("p.csv"), "keep": ("id", "name")},
    )


def test_doctor_ends_with_2_where_something_is_wrong(limpid: Run, recorder: Any) -> None:
    assert limpid("doctor")[0] == 0
    recorder.answers["doctor"].sound = False
    assert limpid("doctor", "--json")[0] == 2


def test_report_prints_the_path(limpid: Run) -> None:
    assert limpid("report", "runs/one") == (0, "runs/one/report.html\n", "")


def test_compare_needs_runs(limpid: Run) -> None:
    assert limpid("compare", "a", "b")[0] == 0
    status, _, err = limpid("compare")
    assert status == 2
    assert "RUN... is missing" in err


def test_a_reader_that_leaves_is_no_error() -> None:
    # `limpid --help | true`: writing into a closed pipe must not end in a traceback.
    command = f"{sys.executable} -c \"import sys; from limpid.cli import main; sys.exit(main(['--help']))\" | true"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.returncode == 0


def test_the_clock_begins_with_the_process() -> None:
    code = (
        "import time; time.sleep(0.3)\nfrom limpid.cli.clock import process_start\n"
        "age = time.monotonic() - process_start()\nprint(0.29 <= age < 30)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expected = "True" if sys.platform == "linux" else done.stdout.strip()
    assert done.stdout.strip() == expected
