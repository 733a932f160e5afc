from beam_curator.runners.beam_options import known_flags


def test_beams_flags_are_known_with_whether_they_take_a_value() -> None:
    flags = known_flags()
    assert flags["--direct_num_workers"] is True
    assert flags["--direct_running_mode"] is True
    assert flags["--save_main_session"] is False
    assert flags["--project"] is True  # of a subclass of a subclass: Google's options
    assert len(flags) > 100


def test_flags_of_flinks_job_server_are_known_though_beams_python_does_not_know_them() -> None:
    flags = known_flags()
    assert flags["--checkpointing_interval"] is True
    assert flags["--finish_bundle_before_checkpointing"] is False


def test_none_of_beams_flags_is_asked_for_by_a_name_of_ours() -> None:
    assert "--output" not in known_flags()
    assert "--plan" not in known_flags()
