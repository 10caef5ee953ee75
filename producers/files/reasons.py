"""Why a cell, a row or a document was repaired, left out or refused, and what to do about it. Each reason stands here
once; a reason of an order's line begins with what the cell means: `price_not_a_number`."""

from typing import Final

REMEDIES: Final = {
    # cells
    "missing": "fill in the cell",
    "not_a_number": "write a number; if the file's decimal mark is a comma, set decimal in [format]",
    "number_ambiguous": 'say what the comma is: decimal = "," or decimal = "." in [format]',
    "not_a_time": "write a date such as 2026-11-28 or 1405/09/07, or set format in [time]",
    "calendar_ambiguous": 'say which calendar it is: calendar = "jalali" or "gregorian" in [time]',
    "not_yes_or_no": "write yes or no (also true, false, 1, 0, بله, خیر)",
    "not_a_phone": "write the number with + and its country",
    "phone_without_region": "set region in the mapping or of the source, or write numbers with their country",
    "digits_lost": "format the column as text in the spreadsheet and export again: it has rounded the number",
    "not_an_identifier": "correct the value, or leave the cell empty",
    "junk_identifier": "leave the cell empty: such a value belongs to nobody",
    "too_long": "shorten the value",
    "zero": "nothing: a line of no pieces and no amount is not sold",
    "currency_differs": "correct the amount, or set currency in the mapping: the file says another one",
    "unknown_currency": "write ISO 4217's three letters, such as EUR or IRR",
    # rows
    "missing_document": "fill in the order's number",
    "missing_id": "fill in the row's id",
    "missing_account": "fill in the account's id or name",
    "missing_type": "fill in the event's type",
    "no_identifier": "fill in at least one identifier: the row is nobody's",
    "wrong_number_of_fields": "quote texts that hold the separator, or set delimiter in [format]",
    "wrong_encoding": "save the file as UTF-8, or set encoding in [format]",
    "unreadable_row": "correct the quotes in this line",
    "not_json": "write one JSON object a line",
    "not_an_object": "write one JSON object a line",
    "row_too_long": "shorten the row to 1 MB",
    # documents
    "several_customers_in_one_document": "give each order one customer",
    "several_currencies_in_one_document": "give each order one currency",
    "amount_not_exact": "shorten the amount to 15 digits",
    "no_usable_line": "correct its lines",
    # repairs
    "thousands_marks_removed": "nothing",
    "currency_sign_removed": "nothing",
    "minus_sign_moved": "nothing",
    "float_noise_removed": "nothing",
    "jalali_date_converted": "nothing",
    "spreadsheet_day_converted": "nothing",
    "phone_written_internationally": "nothing",
    "fraction_removed": "nothing: a program has written 17850 as 17850.0",
    "several_times_first_taken": "nothing: the order has the time of its earliest line",
    "amount_rounded": "nothing: quantity × price was rounded to the currency's places",
    "order_value_taken_from_first_line": "nothing",
}


def remedy(reason: str) -> str:
    """What a person can do about it; of a code of the platform's own: where it is explained."""
    if (found := REMEDIES.get(reason)) is not None:
        return found
    _, _, bare = reason.partition("_")
    while bare:
        if (found := REMEDIES.get(bare)) is not None:
            return found
        _, _, bare = bare.partition("_")
    return "see `simorgh rejected list`"


class Unusable(ValueError):
    """A row or document cannot be used: the reason, and the column of the cell."""

    def __init__(self, reason: str, column: str = "") -> None:
        super().__init__(reason)
        self.column = column
