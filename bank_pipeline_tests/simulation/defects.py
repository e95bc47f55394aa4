"""Thirty and more deliberate defects, and who has to notice each of them."""

from typing import Final

from bank_pipeline.simulation.findings import Checker
from bank_pipeline_tests.domain import test_transitions, test_window
from bank_pipeline_tests.simulation import plants, stages
from bank_pipeline_tests.simulation.planting import Defect, Plant
from bank_pipeline_tests.simulation.stages import Stage


def _d(plant: Plant, stage: Stage, breaks: str, *caught_by: Checker) -> Defect:
    return Defect(plant.__name__.replace("_", " "), breaks, plant, stage, caught_by)


DEFECTS: Final = (
    _d(plants.overlap_of_none, stages.GOCARDLESS_WILD, "", Checker.MISSING),
    _d(plants.window_of_five_days, stages.MACHINE_OFF, "", Checker.GAP_LEFT),
    _d(plants.history_of_thirty_days, stages.GOCARDLESS_WILD, "", Checker.MISSING),
    _d(plants.coverage_never_grows, stages.GOCARDLESS_WILD, "", Checker.HIDDEN_GAP),
    _d(plants.only_first_page, stages.ENABLE_BANKING_WILD, "", Checker.MISSING),
    _d(plants.occurrence_ignored, stages.NAMELESS_WILD, "", Checker.MISSING),
    _d(plants.repeated_ids_trusted, stages.DOUBLE_WILD, "", Checker.MISSING),
    _d(plants.moved_ids_trusted, stages.RESTLESS_WILD, "", Checker.UNSTABLE_ID),
    _d(plants.moved_accounts_forgotten, stages.RENAMED, "", Checker.UNSTABLE_ID),
    _d(plants.accounts_not_recognised, stages.RENAMED, "", Checker.DOUBLED),
    _d(plants.plaid_sign_kept, stages.PLAID_WILD, "", Checker.WRONG_AMOUNT),
    _d(plants.card_sign_kept, stages.TELLER_WILD, "", Checker.WRONG_AMOUNT),
    _d(plants.indicator_ignored, stages.ENABLE_BANKING_WILD, "", Checker.WRONG_AMOUNT),
    _d(plants.everything_booked, stages.ENABLE_BANKING_WILD, "", Checker.WRONG_STATE),
    _d(plants.dollars_assumed, stages.PLAID_ABROAD, "", Checker.WRONG_CURRENCY),
    _d(plants.text_cut, stages.GOCARDLESS_WILD, "", Checker.WRONG_DESCRIPTION),
    _d(plants.pending_link_dropped, stages.PLAID_WILD, "", Checker.UNSTABLE_ID),
    _d(plants.dates_in_another_zone, stages.GOCARDLESS_WILD, "", Checker.WRONG_DATE),
    _d(plants.content_always_equal, stages.PLAID_WILD, "", Checker.WRONG_AMOUNT),
    _d(plants.amounts_never_corrected, stages.TELLER_WILD, "", Checker.WRONG_AMOUNT),
    _d(plants.removals_of_feed_ignored, stages.PLAID_WILD, "", Checker.INVENTED),
    _d(plants.nothing_ever_missing, stages.TELLER_WILD, "", Checker.INVENTED),
    _d(plants.missing_beyond_the_window, stages.GOCARDLESS_WILD, "", Checker.MISSING),
    _d(plants.restored_rows_stay_away, stages.PLAID_WILD, "", Checker.MISSING),
    _d(plants.pending_rows_shown_again, stages.LOST_CURSORS, "", Checker.ENDLESS_PENDING),
    _d(plants.payments_not_continued, stages.GOCARDLESS_WILD, "", Checker.UNSTABLE_ID),
    _d(plants.notes_lost_with_updates, stages.PLAID_WILD, "", Checker.LOST_ANNOTATION),
    _d(plants.cursor_before_rows, stages.KILLED, "", Checker.MISSING),
    _d(plants.replay_not_reconciled, stages.LOST_CURSORS, "", Checker.INVENTED),
    _d(plants.lock_removed, stages.CONCURRENT, "", Checker.TWO_AT_ONCE),
    _d(plants.runs_left_open, stages.PLAID_ABROAD, "", Checker.OPEN_SYNC_RUN),
    _d(plants.own_count_ignored, stages.BUSY, "", Checker.CALL_TOO_MANY),
    _d(plants.quota_header_ignored, stages.QUOTA_TAKEN, "", Checker.CALL_TOO_MANY),
    _d(plants.outage_taken_for_revocation, stages.OUT, "", Checker.SILENT_STOP),
    _d(plants.own_keys_blamed_on_customers, stages.KEYS, "", Checker.SILENT_STOP),
    _d(plants.expiry_taken_for_outage, stages.EXPIRED, "", Checker.UNVERIFIED),
    _d(plants.gives_up_after_three, stages.OUT, "", Checker.SILENT_STOP),
    _d(plants.stops_without_a_reason, stages.EXPIRED, "", Checker.SILENT_STOP),
    _d(plants.available_taken_for_booked, stages.PLAID_WILD, "", Checker.WRONG_BALANCE),
    _d(plants.balances_written_once, stages.GOCARDLESS_WILD, "", Checker.WRONG_BALANCE),
    _d(plants.only_first_account, stages.TELLER_WILD, "", Checker.MISSING_ACCOUNT),
    _d(plants.token_logged, stages.HEARD, "", Checker.SECRET_IN_LOG),
    Defect(
        "gaps papered over",
        "",
        plants.gaps_papered_over,
        properties=(test_window.test_merged_windows_are_the_same_days_and_neither_overlap_nor_touch,),
    ),
    Defect(
        "no next try",
        "",
        plants.no_next_try,
        properties=(test_transitions.test_no_path_leads_to_silence,),
    ),
)
