"""The texts of an export's page, in each language."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

Language = Literal["en", "fa"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)


@dataclass(frozen=True, slots=True)
class Texts:
    """`topics`: heading and explanation of each. `more`: with {shown} and {file}."""

    direction: Literal["ltr", "rtl"]
    title: str
    intro: str
    made: str
    profile: str
    files: str
    nothing: str
    more: str
    yes: str
    no: str
    topics: Mapping[str, tuple[str, str]]
    columns: Mapping[str, str]


_ENGLISH: Final = Texts(
    direction="ltr",
    title="What we know about you",
    intro="This page shows the data that is kept about you. The files beside it hold the same data in full: JSON for"
    " programs, CSV for spreadsheets. Times are in UTC.",
    made="Made at",
    profile="Number of your profile",
    files="Files",
    nothing="Nothing.",
    more="These are the latest {shown}. All of them are in {file}.",
    yes="yes",
    no="no",
    topics={
        "identities": ("How we recognise you", "Names and numbers by which events are known to be yours."),
        "traits": ("What we know", "Facts about you, with their source and time."),
        "purposes": ("What your data may be used for", "What holds now, because you said so or by default."),
        "consent": ("What you allowed, and when", "Every choice that was recorded, the latest first."),
        "segments": ("Groups that you belong to", "Groups that you are or were in: since when, until when, and why."),
        "accounts": (
            "Organisations",
            "Firms and other organisations that you were said to belong to, or to have left.",
        ),
        "metrics": ("Figures", "Counts and sums over your events."),
        "decisions": (
            "How your data was put together",
            "When data was joined, kept apart or separated, and for which reason.",
        ),
        "deliveries": ("Messages about you", "What was sent to other systems about you, to whom, and the outcome."),
        "rejected": ("What was not accepted", "Events that were refused, and in which your identifiers stand."),
        "sources": ("Where your data came from", "Shops, apps and systems that sent it."),
        "events": ("What happened", "Everything that was reported to us about what you did, as it was received."),
    },
    columns={},
)

_PERSIAN: Final = Texts(
    direction="rtl",
    title="آنچه دربارهٔ شما می‌دانیم",
    intro="در این صفحه داده‌هایی را می‌بینید که از شما نگه می‌داریم. همین داده‌ها به‌طور کامل در پرونده‌های کنار این صفحه"
    " هم هست: JSON برای برنامه‌ها و CSV برای صفحهٔ گسترده. زمان‌ها به وقت جهانی (UTC) است.",
    made="زمان تهیه",
    profile="شمارهٔ نمایهٔ شما",
    files="پرونده‌ها",
    nothing="چیزی نیست.",
    more="این‌ها {shown} مورد آخر است. همهٔ موارد را در {file} می‌یابید.",
    yes="بله",
    no="خیر",
    topics={
        "identities": ("شما را چگونه می‌شناسیم", "نام‌ها و شماره‌هایی که با آن‌ها می‌فهمیم یک رویداد از آنِ شماست."),
        "traits": ("چه می‌دانیم", "اطلاعات شما، همراه با این‌که از کجا و چه زمانی به دست ما رسیده است."),
        "purposes": (
            "از داده‌های شما برای چه کاری می‌توان استفاده کرد",
            "آنچه اکنون برقرار است، به خواست خودتان یا به‌طور پیش‌فرض.",
        ),
        "consent": ("چه اجازه‌ای داده‌اید و چه زمانی", "همهٔ انتخاب‌های ثبت‌شدهٔ شما، از تازه‌ترین به قدیمی‌ترین."),
        "segments": ("گروه‌هایی که در آن‌ها هستید", "گروه‌هایی که در آن‌ها هستید یا بوده‌اید: از کی، تا کی و چرا."),
        "accounts": ("سازمان‌ها", "شرکت‌ها و سازمان‌هایی که گفته شده عضوشان شده‌اید یا از آن‌ها رفته‌اید."),
        "metrics": ("آمار", "شمار و جمع رویدادهای شما."),
        "decisions": (
            "داده‌های شما چگونه کنار هم قرار گرفت",
            "چه زمانی و به چه دلیل داده‌ها یکی شد، جدا ماند یا از هم جدا شد.",
        ),
        "deliveries": ("به چه کسی خبر داده‌ایم", "پیام‌هایی که دربارهٔ شما به سامانه‌های دیگر فرستاده شد و سرانجام آن‌ها."),
        "rejected": ("آنچه پذیرفته نشد", "رویدادهایی که رد شد و شناسه‌های شما در آن‌ها آمده است."),
        "sources": ("داده‌های شما از کجا آمده است", "فروشگاه‌ها، برنامه‌ها و سامانه‌هایی که داده‌ها را فرستاده‌اند."),
        "events": ("چه رخ داده است", "هر کاری که کرده‌اید و خبرش به ما رسیده است، همان‌گونه که دریافت شد."),
    },
    columns={
        "type": "نوع", "value": "مقدار", "first_seen": "نخستین بار", "last_seen": "آخرین بار", "name": "نام",
        "source": "منبع", "channel": "کانال", "time": "زمان", "purpose": "هدف", "allowed": "مجاز", "by": "بر پایهٔ",
        "choice": "انتخاب", "since": "از زمان", "lawful_basis": "مبنای قانونی", "at": "زمان",
        "account": "سازمان", "joined": "عضو شد", "role": "سمت",
        "received_at": "زمان دریافت", "reason": "دلیل", "stated_by": "ثبت‌کننده", "segment": "گروه",
        "entered_at": "ورود", "exited_at": "خروج", "cause": "علت", "exit_cause": "علت خروج", "why": "چرا",
        "outcome": "نتیجه",
        "survivor": "نمایهٔ مانده", "absorbed": "نمایهٔ ادغام‌شده", "from": "از", "to": "به", "between": "میان",
        "identifier": "شناسه", "event": "رویداد", "id": "شناسه", "trigger": "فرستنده", "status": "وضعیت",
        "attempts": "تلاش‌ها", "created_at": "زمان ایجاد", "updated_at": "آخرین تغییر", "response_code": "کد پاسخ",
        "error": "خطا", "body": "متن پیام", "code": "کد", "payload": "محتوا", "payload_base64": "محتوا (Base64)",
        "events": "رویدادها", "first_event": "نخستین رویداد", "last_event": "آخرین رویداد",
        "identifiers": "شناسه‌ها", "traits": "ویژگی‌ها", "properties": "جزئیات", "context": "شرایط",
        "consent": "رضایت", "money": "مبلغ", "flags": "نشانه‌ها", "original": "مقدار اصلی",
        "original_time": "زمان اعلام‌شده", "sent_at": "زمان ارسال", "counts": "به حساب می‌آید",
    },
)  # fmt: skip

TEXTS: Final[Mapping[Language, Texts]] = {"en": _ENGLISH, "fa": _PERSIAN}


def language_of(wanted: str | None, accepted: str | None) -> Language:
    """`wanted` if there are texts in it, else the language that `accepted` (Accept-Language) prefers; else English."""
    for tag in (wanted or "", *_by_liking(accepted or "")):
        for language in LANGUAGES:
            if tag.strip().lower().split("-")[0] == language:
                return language
    return "en"


def _by_liking(accepted: str) -> list[str]:
    found: list[tuple[float, str]] = []
    for part in accepted[:1000].split(","):
        tag, _, more = part.partition(";")
        quality = more.strip().removeprefix("q=")
        try:
            liking = float(quality) if more else 1.0
        except ValueError:
            continue
        if liking > 0:
            found.append((-liking, tag))
    return [tag for _, tag in sorted(found, key=lambda one: one[0])]
