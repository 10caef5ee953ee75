"""Values that programs and people send for an unknown person, by kind: RE2 patterns that match whole values, ignoring
case.

Such a value would join strangers. Each kind is matched in any quotes, brackets and signs, since exports, templates and
languages add their own: `null`, `"null"`, `(null)`, `<null>`, `#null!`.
"""

from typing import Final

_AROUND: Final = r"[\pP\pS\s\x{200b}-\x{200f}\x{2060}\x{feff}]*"
_GAP: Final = r"[\pP\s\x{200c}]*"
"""Between the words of a phrase: a blank, a hyphen, an underscore, a half-space, or nothing."""


def _dressed(*words: str) -> str:
    """Any of the words, once or repeated, with any signs around them."""
    return f"(?:{_AROUND}(?:{'|'.join(words)}))(?:[\\pP\\pS\\s]+(?:{'|'.join(words)}))?{_AROUND}"


def _phrase(text: str) -> str:
    return _GAP.join(text.split())


_NOTHING: Final = (
    "nil|nul|null|none|nan|void|blank|empty|missing|undef|undefined|unknown|unspecified|unassigned|invalid",
    rf"n{_GAP}[/\\]?{_GAP}a|na[nt]|n/v|tbd|x{{3,}}|inf|infinity",
    _phrase("not (?:set|given|provided|available|applicable|found|known|specified|defined|assigned|supplied)"),
    _phrase("no (?:value|data|id|name|e mail|mail|phone|user|customer|number|match|body)"),
    "true|false|yes|no",
    r"object\s[a-z]+",  # JavaScript's [object Object], [object Undefined], [object HTMLInputElement]
)

_NOTHING_ELSEWHERE: Final = tuple(
    _phrase(text)
    for text in (
        # Persian
        "نا (?:مشخص|معلوم|شناس)", "ندار[دم]", "هیچ(?: کدام| کس)?", "خالی", "تهی", "پوچ", "نال",
        "(?:بدون|بی) (?:نام|مقدار|شماره|ایمیل)", "(?:تعریف|ثبت|وارد|تنظیم) نشده", "موجود نیست", "(?:کاربر )?می?همان",
        # Arabic
        "غ[يی]ر (?:معروف|محدد|متوفر|متاح|موجود|مسجل)", "مجهول", "لا [يی]وجد", "لا ش[يی]ء", "فارغ", "ض[يی]ف", "زائر",
        # Russian
        "нет(?: данных)?", "неизвест(?:но|ный|ен)", "не (?:указано?|задано?|определено)", "пусто", "гость", "аноним",
        # German, Dutch
        "unbekannt", "keine?(?: angabe)?", "leer", "gast", "nicht (?:gesetzt|angegeben|vorhanden|definiert)", "anonym",
        "onbekend", "geen", "leeg", "anoniem",
        # French, Italian
        "inconnue?", "aucune?", "vide", "invité", "non (?:défini|renseigné|spécifié)", "néant", "anonyme",
        "sconosciut[oa]", "nessun[oa]?", "vuoto", "ospite", "anonimo",
        # Spanish, Portuguese
        "desconocid[oa]", "ningun[oa]", "vac[ií]o", "invitado", "nulo", "sin (?:definir|datos|nombre)", "an[oó]nimo",
        "desconhecid[oa]", "nenhuma?", "vazio", "convidado", "indefinido", "anônimo",
        # Polish, Turkish, Vietnamese
        "nieznan[ya]", "brak", "gość", "bilinmiyor", "yok", "boş", "misafir", "không(?: có)?",
        # Chinese, Japanese, Korean, Hindi
        "未知", "[无無]", "空", "匿名", "[游遊访訪]客", "未(?:设置|設定|填写|定义|登録)", "暂无",
        "不[详詳明]", "な し", "名?無し",
        "ゲスト",
        "없음", "알 수 없음", "익명", "게스트", "미설정", "अज्ञात", "कोई नहीं", "शून्य",
    )
)  # fmt: skip

_NOBODY: Final = (
    "anonymous|anon|guest|visitor|unregistered|deleted|removed|dummy|tests?|testing|tester|example|sample",
    _phrase("(?:test|guest|anonymous|unknown|default|dummy|deleted|sample) (?:user|customer|client|account|visitor)"),
    _phrase("not (?:authenticated|logged in|signed in|registered)"),
    _phrase("logged out"),
)

_FIELD_NAMES: Final = (
    "id|uid|uuid|guid|mail|phone|mobile|tel|telephone|username|login|user|customer|client|member",
    _phrase(
        "(?:user|customer|client|member|account|visitor|profile|person|contact|distinct|anonymous|device|session"
        "|external|loyalty|card|crm|order|my|your) (?:id|ids|uid|uuid|guid|key|name|number|no|code|email|phone)"
    ),
    _phrase("e mail(?: ?address)?"),
    _phrase("(?:phone|mobile|tel) (?:number|no)"),
    "ایمیل|تلفن|موبایل|شناسه|شماره|نام|البريد|الهاتف",
)

_ZERO: Final = r"[+\-]?[0\pP\s]*|[+\-]?0[0.,]*e[+\-]?[0-9]+|0x0+"
"""Also the all-zero UUID that phones send when tracking is off; 0.0, 0,00, 000-000; and signs alone."""

_DAMAGED: Final = (
    r"[+\-]?[0-9](?:[.,][0-9]*)?e[+\-][0-9]{1,3}|[+\-]?[0-9][.,][0-9]+e[0-9]{1,3}"  # a spreadsheet's 1.23457E+12
    r"|#[\pL0-9/_ ]{1,14}[!?]|#+|#n/?[av]"  # its #REF!, #DIV/0!, #BEZUG!, ####, #N/A
)

_UNFILLED: Final = (
    r"%(\([a-z_]+\))?[sdi@]"  # a template that nobody filled in: %s, %(user)s
    r"|[{<%$\[]{1,3}.*[}>%\]]{1,3}"  # {{user.id}}, ${id}, <%= id %>, [EMAIL]
    r"|\*\|.*\|\*|__[a-z0-9_]+__|[$:@]\{?[a-z_]*(?:id|email|phone|user)\}?"  # *|EMAIL|*, __USER_ID__, $user_id
    r"|\\+[a-z0-9]"  # SQL's \N
)

JUNK: Final = (
    _dressed(*_NOTHING, *_NOTHING_ELSEWHERE, *_NOBODY, *_FIELD_NAMES),
    _ZERO,
    "-1",
    _DAMAGED,
    _UNFILLED,
    "f{8}-?f{4}-?f{4}-?f{4}-?f{12}",
)

JUNK_DEVICES: Final = (
    "9774d56d682e549c",  # the ANDROID_ID that a whole generation of phones shared
    "02:00:00:00:00:00",  # what phones answer instead of their MAC address
)

JUNK_EMAILS: Final = (
    f"(?:{'|'.join(_NOTHING)}|no-?reply|anonymous|guest)@.*",
    r"(?:test|a|asd|abc|x)@(?:test|a|asd|abc|x)(?:\.[a-z]+)+",
    r".*@(?:none|null|nomail|noemail|undefined|invalid)(?:\.[a-z]+)*",
)

JUNK_PHONES: Final = (r"\+[0-9]{1,3}0{6,}",)
