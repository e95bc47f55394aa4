"""Thirty and more deliberate defects, and who has to notice each of them."""

from collections.abc import Callable
from typing import Final

from bank_pipeline.simulation.findings import Checker
from bank_pipeline_tests.domain import (
    test_circuit,
    test_identity,
    test_lives,
    test_moved_ids,
    test_moving,
    test_quota,
    test_transitions,
    test_window,
)
from bank_pipeline_tests.simulation import plants, stages
from bank_pipeline_tests.simulation import plants_of_states as states
from bank_pipeline_tests.simulation.planting import Defect, Plant
from bank_pipeline_tests.simulation.stages import Stage


def _d(plant: Plant, stage: Stage, breaks: str, *caught_by: Checker) -> Defect:
    return Defect(plant.__name__.replace("_", " "), breaks, plant, stage, caught_by)


def _p(plant: Plant, breaks: str, *properties: Callable[[], None]) -> Defect:
    return Defect(plant.__name__.replace("_", " "), breaks, plant, properties=properties)


DEFECTS: Final = (
    _d(
        plants.overlap_of_none,
        stages.SHALLOW,
        "Windows begin where the last one ended, although banks book late.",
        Checker.INVENTED,
    ),
    _d(
        plants.window_of_five_days,
        stages.MACHINE_OFF,
        "Always the last five days are asked for, whatever was missed before.",
        Checker.GAP_LEFT,
    ),
    _d(
        plants.coverage_never_grows,
        stages.GOCARDLESS_WILD,
        "What later answers cover is not written down.",
        Checker.HIDDEN_GAP,
    ),
    _d(
        plants.old_history_pruned,
        stages.SHALLOW,
        "Housekeeping takes old rows, and the days that they stood for.",
        Checker.HIDDEN_GAP,
    ),
    _d(
        plants.purchases_unreadable,
        stages.TELLER_WILD,
        "No purchase can be read: all of them wait in quarantine.",
        Checker.UNREAD,
        Checker.MISSING,
    ),
    _d(
        plants.occurrence_ignored,
        stages.NAMELESS_WILD,
        "The second equal purchase of a day has the name of the first.",
        Checker.MISSING,
    ),
    _d(
        plants.plaid_sign_kept,
        stages.PLAID_WILD,
        "Plaid's sign, positive for money out, is kept.",
        Checker.WRONG_AMOUNT,
    ),
    _d(
        plants.card_sign_kept,
        stages.TELLER_WILD,
        "Teller's sign on cards, positive for what is owed, is kept.",
        Checker.WRONG_AMOUNT,
    ),
    _d(
        plants.indicator_ignored,
        stages.ENABLE_BANKING_WILD,
        "Enable Banking's amounts are read without their direction.",
        Checker.WRONG_AMOUNT,
    ),
    _d(
        plants.everything_booked,
        stages.ENABLE_BANKING_WILD,
        "Pending rows are taken for booked ones.",
        Checker.WRONG_STATE,
    ),
    _d(
        plants.dollars_assumed,
        stages.PLAID_ABROAD,
        "Every amount is taken for dollars.",
        Checker.WRONG_CURRENCY,
    ),
    _d(
        plants.text_cut,
        stages.GOCARDLESS_WILD,
        "The bank's text is replaced by a word of ours.",
        Checker.WRONG_DESCRIPTION,
    ),
    _d(
        plants.pending_link_dropped,
        stages.PLAID_WILD,
        "Plaid's link from a booked row to its pending one is not read.",
        Checker.UNSTABLE_ID,
    ),
    _d(
        plants.dates_in_another_zone,
        stages.GOCARDLESS_WILD,
        "Calendar dates are moved as if they were midnights elsewhere.",
        Checker.WRONG_DATE,
    ),
    _d(
        plants.content_always_equal,
        stages.PLAID_WILD,
        "A row that the bank changed is taken for unchanged.",
        Checker.WRONG_AMOUNT,
    ),
    _d(
        plants.amounts_never_corrected,
        stages.TELLER_WILD,
        "An update writes everything but the amount.",
        Checker.WRONG_AMOUNT,
    ),
    _d(
        plants.removals_of_feed_ignored,
        stages.PLAID_WILD,
        "What a feed takes back stays.",
        Checker.INVENTED,
    ),
    _d(
        plants.nothing_ever_missing,
        stages.TELLER_WILD,
        "What a complete answer does not show any more stays.",
        Checker.INVENTED,
    ),
    _d(
        plants.missing_beyond_the_window,
        stages.SHALLOW,
        "What lies before the window is taken for gone, because it is not shown.",
        Checker.MISSING,
    ),
    _d(
        plants.restored_rows_stay_away,
        stages.PLAID_WILD,
        "A row that the bank shows again stays removed.",
        Checker.MISSING,
    ),
    _d(
        plants.notes_lost_with_updates,
        stages.PLAID_WILD,
        "An update takes the notes that people put on a row.",
        Checker.LOST_ANNOTATION,
    ),
    _d(
        plants.cursor_before_rows,
        stages.KILLED,
        "The cursor is saved before the rows; whoever dies between loses them.",
        Checker.MISSING,
    ),
    _d(
        plants.replay_not_reconciled,
        stages.LOST_CURSORS,
        "After a lost cursor nothing is taken back that was taken back meanwhile.",
        Checker.INVENTED,
    ),
    _d(
        plants.lock_removed,
        stages.CONCURRENT,
        "Two syncs of one connection run at once.",
        Checker.TWO_AT_ONCE,
    ),
    _d(
        plants.runs_left_open,
        stages.PLAID_ABROAD,
        "The end of a sync run is not written.",
        Checker.OPEN_SYNC_RUN,
    ),
    _d(
        states.own_count_ignored,
        stages.BUSY,
        "Counted calls are made without counting.",
        Checker.CALL_TOO_MANY,
    ),
    _d(
        states.outage_taken_for_revocation,
        stages.OUT,
        "A provider that is out looks like a customer who has left.",
        Checker.SILENT_STOP,
    ),
    _d(
        states.own_keys_blamed_on_customers,
        stages.KEYS,
        "Our keys refused looks like a customer who has left.",
        Checker.SILENT_STOP,
    ),
    _d(
        states.expiry_taken_for_outage,
        stages.EXPIRED,
        "A consent that ended is tried again for ever, and nobody is asked.",
        Checker.UNVERIFIED,
    ),
    _d(
        states.gives_up_after_three,
        stages.OUT,
        "After three failures a connection is dropped.",
        Checker.SILENT_STOP,
    ),
    _d(
        states.failures_taken_for_success,
        stages.OUT,
        "Each sync is noted as a success, those that failed, too.",
        Checker.SILENT_STOP,
    ),
    _d(
        states.only_daily_syncs_archived,
        stages.PLAID_ABROAD,
        "What a webhook or a repetition brings is applied, and not archived.",
        Checker.NOT_ARCHIVED,
    ),
    _d(
        states.stops_without_a_reason,
        stages.EXPIRED,
        "Why a connection stopped is not written.",
        Checker.SILENT_STOP,
    ),
    _d(
        states.available_taken_for_booked,
        stages.PLAID_WILD,
        "What can be spent is shown as what is booked.",
        Checker.WRONG_BALANCE,
    ),
    _d(
        states.balances_written_once,
        stages.GOCARDLESS_WILD,
        "Only the first balances are written.",
        Checker.WRONG_BALANCE,
    ),
    _d(
        states.balances_carried_on,
        stages.PLAID_ABROAD,
        "A balance that was not told again is written down as today's.",
        Checker.WRONG_BALANCE,
    ),
    _d(
        states.only_first_account,
        stages.TELLER_WILD,
        "Of several accounts only the first is read.",
        Checker.HIDDEN_GAP,
    ),
    _d(
        states.accounts_in_dollars,
        stages.PLAID_ABROAD,
        "Every account is said to be in dollars, whatever its rows are in.",
        Checker.WRONG_CURRENCY,
    ),
    _d(
        states.closed_accounts_stay_open,
        stages.CLOSED,
        "What the bank does not list any more stays open.",
        Checker.WRONG_ACCOUNT_STATE,
    ),
    _d(
        states.token_logged,
        stages.HEARD,
        "An access token is written to the log.",
        Checker.SECRET_IN_LOG,
    ),
    _p(
        plants.gaps_papered_over,
        "Two covered ranges become one, with the gap between them.",
        test_window.test_merged_windows_are_the_same_days_and_neither_overlap_nor_touch,
    ),
    _p(
        states.no_next_try,
        "After a failure no next try is planned.",
        test_transitions.test_no_path_leads_to_silence,
    ),
    _p(
        plants.repeated_ids_trusted,
        "An id that stands for two rows of one answer is believed.",
        test_identity.test_names_are_unique_lose_no_row_and_do_not_depend_on_the_order,
    ),
    _p(
        plants.moved_ids_trusted,
        "A bank that numbers its rows anew writes over other rows.",
        test_moved_ids.test_whatever_a_renumbering_bank_does_annotations_stay_with_their_money,
    ),
    _p(
        plants.moved_rows_by_exact_date,
        "After a renewal rows are known only by their exact date, which other sources shift.",
        test_moving.test_rows_shown_again_within_a_day_are_all_found_in_any_order,
    ),
    _p(
        plants.payments_not_continued,
        "A booked row is never known to be the pending one of before.",
        test_lives.test_a_payment_keeps_its_id_from_the_first_look_to_the_last,
    ),
    _p(
        states.schedule_takes_all,
        "The schedule spends the calls that are kept for people.",
        test_quota.test_no_24_hours_ever_hold_more_calls_than_allowed,
    ),
    _p(
        states.paused_for_ever,
        "A provider that refused our keys is never probed again.",
        test_circuit.test_who_is_paused_is_always_probed_again,
    ),
    _p(
        states.quota_header_ignored,
        "An answer's word that nothing is left of the quota is not read.",
        test_quota.test_the_providers_word_that_nothing_is_left_goes_before_our_count,
    ),
)
