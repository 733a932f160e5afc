import logging

import pytest

from beam_curator.runners.logs import NOISE, quieten


def test_warnings_are_shown_without_the_noise(capsys: pytest.CaptureFixture[str]) -> None:
    quieten(verbose=False)
    logging.getLogger("any").info("detail")
    logging.getLogger("any").warning("look %s", "here")
    for noise in NOISE:
        logging.getLogger("apache_beam").warning("%s and so on", noise)
    assert capsys.readouterr().err == "WARNING any: look here\n"


def test_the_engine_s_tracebacks_are_left_to_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    quieten(verbose=False)
    logging.getLogger("apache_beam.runners.worker").error("Traceback")
    logging.getLogger("apache_beam.io").error("shown")
    assert capsys.readouterr().err == "ERROR apache_beam.io: shown\n"


def test_verbose_shows_everything(capsys: pytest.CaptureFixture[str]) -> None:
    quieten(verbose=True)
    logging.getLogger("any").info("detail")
    logging.getLogger("apache_beam.runners").error("Traceback")
    logging.getLogger("any").warning(NOISE[0])
    assert len(capsys.readouterr().err.splitlines()) == 3
