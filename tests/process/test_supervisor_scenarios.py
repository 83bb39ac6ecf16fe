"""Thirty-six faults that a supervisor has to survive, and which test shows each: one table, which is checked.

What is not shown by a process test says why, and what stands in for it.
"""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).parents[1]

SHOWN = {
    "1 TERM, idle and with tasks": [
        "test_a_second_supervisor_is_refused_and_the_first_is_untouched",
        "test_a_stop_ends_the_running_tasks_first_and_gives_the_rest_back",
    ],
    "2 TERM twice": ["test_a_second_term_means_now_and_counts_as_no_crash"],
    "3 QUIT": ["test_a_stop_ends_the_running_tasks_first_and_gives_the_rest_back", "test_quit_never_means_now"],
    "4 kill -9 of one worker": [
        "test_a_killed_worker_s_task_runs_again_at_once_and_its_attempts_say_what_happened",
        "test_what_was_leased_and_not_started_gets_no_attempt",
    ],
    "5 kill -9 of twenty at once": ["test_all_workers_killed_at_once_are_all_reaped_and_replaced"],
    "6 kill -9 of the master": [
        "test_orphans_end_their_tasks_and_leave_beside_a_new_supervisor_that_starts_at_once",
        "test_idle_orphans_leave_at_once_and_those_that_were_paused_too",
        "test_a_task_that_hangs_under_an_orphan_ends_with_its_lease_and_the_next_supervisor_knows",
    ],
    "7 a new master while orphans drain": [
        "test_orphans_end_their_tasks_and_leave_beside_a_new_supervisor_that_starts_at_once"
    ],
    "8 a second master on the host": ["test_a_second_supervisor_is_refused_and_the_first_is_untouched"],
    "9 a crash loop at import": ["test_a_crash_loop_in_one_pool_backs_off_and_leaves_the_others_alone"],
    "10 exit 78": [
        "test_a_pool_that_can_never_start_is_not_tried_again_until_somebody_says_so",
        "test_a_supervisor_whose_pools_cannot_start_leaves_with_78_if_it_is_to",
        "test_a_supervisor_stays_while_one_of_its_pools_can_work",
    ],
    "11 stuck in boot": ["test_a_worker_that_does_not_start_in_time_is_ended_and_tried_again"],
    "12 hung in C": ["test_a_task_that_hangs_in_c_is_ended_with_its_worker_and_its_report_shows_where"],
    "13 ignores TERM and ABRT": [
        "test_what_does_not_yield_by_the_end_of_grace_is_ended_with_its_stacks_and_its_children"
    ],
    "14 recycled": ["test_a_worker_that_is_recycled_is_no_failure_and_waits_for_nothing"],
    "15 a grandchild left by a dead worker": ["test_the_children_of_a_dead_worker_die_with_it"],
    "16 HUP, count up and down": ["test_a_count_that_goes_up_and_down_moves_the_difference_only"],
    "17 HUP with a file that is broken, has an unknown key, or vanished": [
        "test_a_file_that_is_not_accepted_changes_nothing_and_is_told"
    ],
    "18 HUP removes a group": ["test_a_queue_that_is_gone_from_the_file_drains_and_a_new_one_starts"],
    "19 HUP changes an option; two HUPs": [
        "test_a_changed_option_replaces_one_worker_after_the_other_and_never_lowers_the_number",
        "test_two_reloads_in_a_row_end_at_the_last",
    ],
    "20 USR2 and CONT": [
        "test_nothing_starts_between_usr2_and_cont_under_load_whatever_happens_in_between",
        "test_usr2_to_one_worker_pauses_it_alone_and_outlives_it",
        "test_each_pause_is_set_and_taken_back_on_its_own",
    ],
    "21 TERM in a pause": ["test_running_tasks_end_in_a_pause_and_a_stop_ends_it"],
    "22 3000 mixed signals": ["test_after_three_thousand_signals_everything_works_and_nobody_was_replaced"],
    "23 TERM while thirty children boot": ["test_a_stop_while_thirty_children_boot_leaves_none"],
    "24 the whole host frozen": ["test_a_host_that_was_frozen_kills_nobody"],
    "25 one worker stopped": [
        "test_a_worker_that_is_stopped_is_ended_once_its_lease_is_over_with_all_that_it_started",
        "test_an_idle_worker_that_is_stopped_is_replaced_when_its_sign_of_life_is_overdue",
    ],
    "26 CONT and USR2 back to back": ["test_cont_and_usr2_together_end_paused"],
    "27 fork fails": ["test_without_room_for_a_process_it_tries_again_and_recovers"],
    "28 no descriptors, full disk at stderr, stderr closed, the terminal hangs up": [
        "test_without_descriptors_it_tries_again_and_recovers",
        "test_a_log_that_cannot_be_written_is_no_reason_to_stop",
        "test_without_its_standard_streams_it_works_like_any_other",
        "test_a_terminal_that_hangs_up_harms_nobody",
    ],
    "29 the store is down": ["test_an_outage_of_the_store_is_the_workers_business"],
    "31 the kernel kills for memory": [
        "test_a_worker_that_the_kernel_kills_for_its_memory_is_one_worker_lost_and_poison_ends"
    ],
    "32 process 1, strangers reaped": ["test_strangers_are_reaped_and_the_fleet_works_on"],
    "33 Ctrl-C in a terminal": ["test_ctrl_c_is_heard_by_the_master_only"],
    "34 NOTIFY_SOCKET": ["test_systemd_hears_of_start_reload_and_stop_and_of_the_loop_while_it_turns"],
    "35 what is inherited": [
        "test_no_process_shares_its_connection_with_another",
        "test_a_worker_has_nothing_open_that_is_its_master_s_or_its_siblings",
    ],
    "36 soak": ["test_a_few_seconds_of_chaos_lose_no_task_and_run_none_twice_at_once"],
}
NOT_SHOWN = {
    "30 the clock is set by a day": (
        "No test may set the clock of the host that it runs on, and Linux has no namespace for it. The supervisor asks "
        "for the time of day only to show it: all its deadlines are of the monotonic clock, and the linter refuses "
        "time.time everywhere. Leases are judged by the store's clock."
    ),
}


def test_every_scenario_is_shown_or_says_why_not():
    numbers = sorted(int(name.split()[0]) for name in SHOWN | NOT_SHOWN)
    assert numbers == [*range(1, 37)]
    assert all(NOT_SHOWN.values())
    there = {name for file in TESTS.glob("process/*.py") for name in names_in(file)}
    named = {name for names in SHOWN.values() for name in names}
    assert named - there == set()


def names_in(file: Path) -> list[str]:
    tree = ast.parse(file.read_text())
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
