"""What is promised of reliability, by number, and the tests that hold it; the numbers stand in their docstrings too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
# Distributed training (28 to 30) and workers that load data (13) are not part of otgen; 24 and 72 need a GPU.
OPEN = {13, 24, 28, 29, 30, 72}
PROMISES: dict[int, tuple[str, str]] = {
    1: ("killed anywhere, it goes on bit for bit", "reliability/test_crashes:a_kill_at_any_event_loses_nothing"),
    2: ("killed between files, never without a checkpoint", "reliability/test_crashes:two_kills_lose_nothing"),
    3: ("a full disk is told by path", "cli/test_trouble:a_checkpoint_that_cannot_be_saved_stops_the_run"),
    4: ("what cannot be saved does not start", "cli/test_trouble:a_run_that_could_not_be_saved_does_not_start"),
    5: ("a cut file is refused, or fallen back from", "train/test_checkpoint:a_truncated_file_is_refused"),
    6: ("a flipped bit is refused", "train/test_checkpoint:a_flipped_bit_is_refused"),
    7: ("no pickle is read", "train/test_checkpoint:a_pickle_is_never_read"),
    8: ("lies about tensors are refused", "train/test_checkpoint:lies_about_tensors_are_refused"),
    9: ("a manifest cannot point outside", "train/test_checkpoint:a_manifest_cannot_point_outside"),
    10: ("stopped anywhere, all methods", "train/test_determinism:stopped_and_resumed_is_never_stopped"),
    11: ("a lost random stream would show", "reliability/test_crashes:a_lost_random_stream_is_seen"),
    12: ("data are drawn on", "train/test_determinism:a_data_set_is_drawn_on_where_it_was_left"),
    14: ("a change is named", "cli/test_train:a_run_is_continued_as_it_was"),
    15: ("runs of earlier versions are read", "runs/test_golden:it_is_continued_and_saved_in_the_present_format"),
    16: (
        "misfits are named, nothing half loaded",
        "train/test_checkpoint:another_critic_leaves_all_players_as_they_were",
    ),
    17: ("a signal saves", "train/test_interrupts:a_signal_ends_the_loop_and_saves"),
    18: ("one process a run", "cli/test_trouble:a_second_process_is_refused"),
    19: ("the newest that is whole", "train/test_checkpoint:a_checkpoint_without_a_manifest_is_passed_over_and_said"),
    20: ("modes follow the umask", "train/test_checkpoint:modes_follow_the_umask"),
    21: ("saved, loaded, saved: the same bytes", "train/test_checkpoint:save_load_save_is_byte_identical"),
    22: ("order by step, not by time", "train/test_checkpoint:newest_goes_by_step_not_by_time"),
    23: ("no half line, no step twice", "reliability/test_crashes:a_run_that_is_killed_goes_on_bit_for_bit"),
    25: ("one seed, one run", "cli/test_train:the_same_words_give_the_same_bytes"),
    26: ("threads change roundings only", "train/test_determinism:threads_change_roundings_only"),
    27: ("looking changes nothing", "train/test_determinism:looking_changes_nothing_nor_does_resuming_right_after_it"),
    31: ("bad values are told by their place", "cli/test_data_intake:"),
    32: ("empty, single and odd data", "cli/test_data_intake:"),
    33: ("folders of images", "data/test_image_folder:everything_that_cannot_be_used_is_listed"),
    34: ("constant data make no NaN", "cli/test_data_intake:identical_points_make_no_nan"),
    35: ("the form of the numbers changes nothing", "contracts/test_battery:the_layout_of_memory_does_not_matter"),
    36: ("changed data are told", "cli/test_trouble:replaced_data_are_told_before_a_step"),
    37: ("no pickled arrays", "data/test_hostile_files:a_hostile_file_is_refused_at_once_and_in_one_line"),
    38: ("marginals", "contracts/test_plans:what_was_asked_for_is_true_of_the_plan"),
    39: ("weak duality", "ot/test_oracles:gap_identity"),
    40: ("gradients", "ot/test_gradients:envelope_gradient_for_every_solver"),
    41: (
        "of the value, not of its linear part",
        "ot/test_gradients:gradient_descends_the_regularised_value_not_its_linear_part",
    ),
    42: ("any eps", "ot/test_eps_range:converged_or_flagged"),
    43: ("any shape", "contracts/test_solvers:all_points_coincide"),
    44: ("weights", "contracts/test_solvers:a_merged_atom_is_two_halves"),
    45: ("the cosine cost", "contracts/test_reliability:reliability_45_the_cosine_cost_knows_no_lengths"),
    46: (
        "far from the origin",
        "contracts/test_reliability:reliability_46_distances_keep_their_digits_far_from_the_origin",
    ),
    47: ("dtypes and devices", "contracts/test_battery:dtype_and_device_are_kept"),
    48: ("scaling laws", "contracts/test_solvers:scaling"),
    49: ("closed forms", "ot/test_oracles:divergence_between_gaussians"),
    50: ("a law against itself", "ot/test_divergences:zero_with_zero_gradient_at_the_same_tensor"),
    51: ("settings that are none", "contracts/test_reliability:reliability_51_a_weight_that_is_none_is_refused"),
    52: ("what is not converged is said", "ot/test_solve:policies"),
    53: ("a warm start", "ot/test_dual_solvers:a_warm_start_saves_steps"),
    54: ("streamed as kept", "ot/test_streaming:plain_steps_are_those_of_a_kept_problem"),
    55: ("many atoms", "contracts/test_reliability:reliability_55_seventy_thousand_atoms_and_costs_far_above_eps"),
    56: (
        "the gauge",
        "contracts/test_reliability:reliability_56_a_constant_moved_from_f_to_g_changes_nothing_reported",
    ),
    57: ("fuzzing", "ot/test_fuzz:entropic_intervals_hold_the_truth"),
    58: (
        "guards of densities",
        "contracts/test_reliability:reliability_58_where_no_pair_is_in_the_plan_the_dual_still_has_a_slope",
    ),
    59: ("masses that cancel", "contracts/test_reliability:reliability_59_masses_that_do_not_cancel_are_refused"),
    60: ("the toy of the envelope theorem", "ot/test_semi_discrete:alternating_atoms_give_the_two_cycle"),
    61: ("NaN stops a run", "train/test_trainer:what_is_not_finite_stops_the_run"),
    62: ("signs", "methods/test_games:the_generators_step_lowers_and_the_critics_raises"),
    63: ("players are left alone", "methods/test_steps:an_update_changes_its_player_only"),
    64: ("parameter counts", "nets/test_architectures:parameter_counts_of_generators"),
    65: ("the battery", "contracts/test_battery:the_battery_leaves_nothing_out"),
    66: ("configurations", "train/test_yaml_text:"),
    67: ("the command", "cli/test_terminal:every_command_helps_in_a_bare_environment"),
    68: ("nothing is overwritten", "cli/test_sample_and_eval:a_file_is_not_overwritten_without_force"),
    69: ("a picture that cannot be written", "cli/test_trouble:training_goes_on_without_a_line_or_a_picture"),
    70: ("hours of use", "contracts/test_soak:memory_handles_and_threads_stay_flat"),
    71: ("metrics", "metrics/test_frechet:the_distance_of_a_set_to_itself_is_zero"),
}


def test_every_number_is_held_or_open() -> None:
    assert set(PROMISES) | OPEN == set(range(1, 73))
    assert not set(PROMISES) & OPEN


@pytest.mark.parametrize("number", PROMISES)
def test_a_promise_has_its_test(number: int) -> None:
    file, _, name = PROMISES[number][1].partition(":")
    source = (TESTS / f"{file}.py").read_text(encoding="utf-8")
    assert re.search(rf"^def test_{name or ''}", source, re.MULTILINE)
