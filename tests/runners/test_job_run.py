import pytest

from beam_curator.runners.job_run import said_by

WORKER = """Traceback (most recent call last):
  File "apache_beam/runners/common.py", line 1512, in apache_beam.runners.common.DoFnRunner.process
    raise ForeignRunError("out")
beam_curator.files.atomic_files.ForeignRunError: out now belongs to another run: this one stops writing

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "apache_beam/runners/common.py", line 1623, in apache_beam.runners.common.DoFnRunner._reraise_augmented
{last} [while running 'Curate windows/Write training windows/Write block']
"""
JAVA = """Pipeline beam-curator-1 failed in state FAILED: java.lang.RuntimeException: Error received from SDK harness:
{worker}
\tat org.apache.beam.runners.fnexecution.control.FnApiControlClient$ResponseStreamObserver.onNext(FnApi.java:185)
Caused by: java.io.IOException: a reason below
"""
ECHO = """{worker}
The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "apache_beam/runners/worker/sdk_worker.py", line 543, in lookup
    raise RuntimeError(
RuntimeError: Bundle processing associated with inst1 has failed. Check prior failing response and attached exception \
for details.
"""
OURS = "beam_curator.files.atomic_files.ForeignRunError: out now belongs to another run: this one stops writing"
SYSTEMS = "OSError: [Errno 28] No space left on device"


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (OURS, "out now belongs to another run: this one stops writing"),
        (SYSTEMS, SYSTEMS),
        ("a.b.MyError: x: y", "MyError: x: y"),
    ],
)
@pytest.mark.parametrize("around", ["{worker}", JAVA, ECHO, "bundle inst019 stage-008 failed:{worker}"])
def test_of_a_worker_s_traceback_the_last_line_is_said(around: str, last: str, said: str) -> None:
    text = around.format(worker=WORKER.format(last=last))
    assert said_by(RuntimeError(text)) == said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("disk: full [while running 'x']"), "disk: full"),
        (RuntimeError("gone"), "RuntimeError: gone"),
        (ValueError("a: b\nc"), "ValueError: a: b"),
        (
            RuntimeError("Pipeline job failed: java.io.IOException: no\n\tat a.b(C.java)\nCaused by: x.Y: z"),
            "Pipeline job failed: java.io.IOException: no",
        ),
    ],
)
def test_without_one_the_first_line_is(error: Exception, said: str) -> None:
    assert said_by(error) == said
