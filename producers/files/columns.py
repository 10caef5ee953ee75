"""What columns are called, in English, Persian, German and French, by their meaning. A further name is a word here."""

import re
import unicodedata
from typing import Final

WORDS: Final[dict[str, tuple[str, ...]]] = {
    # meaning: names of columns, folded; a name in the list is meant as a whole
    "email": ("email", "email address", "e mail", "mail", "ایمیل", "پست الکترونیک", "رایانامه", "نشانی ایمیل"),
    "phone": (
        "phone", "mobile", "phone number", "mobile number", "mobile phone", "cell", "cell phone", "telephone", "tel",
        "msisdn", "موبایل", "شماره موبایل", "تلفن همراه", "شماره تلفن همراه", "همراه", "شماره همراه", "تلفن",
        "شماره تلفن", "شماره تماس", "تماس",
    ),
    "user_id": (
        "user id", "userid", "customer id", "customerid", "customer no", "customer number", "contact id", "client id",
        "cust id", "کد مشتری", "شناسه مشتری", "شماره مشتری", "کد مخاطب", "شناسه کاربر", "شناسه کاربری", "کد اشتراک",
    ),
    "loyalty_card": (
        "card", "card number", "card no", "loyalty card", "loyalty", "club card", "member no", "membership number",
        "کارت", "شماره کارت باشگاه", "کارت باشگاه", "شماره عضویت", "کد باشگاه", "باشگاه مشتریان",
    ),
    "first_name": ("first name", "firstname", "given name", "forename", "نام", "نام کوچک"),
    "last_name": ("last name", "lastname", "surname", "family name", "family", "نام خانوادگی", "فامیلی", "فامیل"),
    "name": (
        "name", "full name", "fullname", "customer name", "contact name", "نام و نام خانوادگی", "نام مشتری",
        "نام کامل", "مشتری", "customer",
    ),
    "city": ("city", "town", "شهر"),
    "country": ("country", "کشور"),
    "state": ("state", "province", "استان"),
    "address": ("address", "street", "آدرس", "نشانی"),
    "postal_code": ("zip", "zip code", "postal code", "postcode", "کد پستی", "کدپستی"),
    "birthday": ("birthday", "birth date", "date of birth", "birthdate", "dob", "تاریخ تولد", "تولد"),
    "gender": ("gender", "sex", "جنسیت"),
    "account": (
        "company", "company name", "organisation", "organization", "account", "account name", "account id", "firm",
        "شرکت", "نام شرکت", "سازمان", "نام سازمان", "حساب",
    ),
    "industry": ("industry", "sector", "صنعت", "حوزه فعالیت"),
    "employees": ("employees", "number of employees", "headcount", "تعداد کارکنان", "تعداد پرسنل"),
    "website": ("website", "web site", "url", "وب سایت", "وبسایت"),
    "document": (
        "order", "order id", "order no", "order number", "orderid", "invoice", "invoice no", "invoiceno",
        "invoice number", "receipt", "receipt no", "receipt number", "basket", "basket id", "transaction id",
        "شماره سفارش", "کد سفارش", "سفارش", "شماره فاکتور", "فاکتور", "شماره رسید", "شناسه سفارش",
    ),
    "time": (
        "date", "time", "datetime", "order date", "invoice date", "invoicedate", "created at", "created", "timestamp",
        "printed at", "purchase date", "transaction date", "تاریخ", "زمان", "تاریخ سفارش", "تاریخ فاکتور", "تاریخ خرید",
        "تاریخ ثبت", "تاریخ و ساعت",
    ),
    "clock": ("hour", "time of day", "order time", "purchase time", "transaction time", "trans time", "ساعت"),
    "updated": ("updated at", "modified", "last modified", "modified at", "changed at", "تاریخ ویرایش", "آخرین ویرایش"),
    "sku": (
        "sku", "product id", "product code", "stockcode", "stock code", "item id", "item code", "plu", "barcode",
        "کد کالا", "کد محصول", "شناسه محصول", "بارکد",
    ),
    "product_name": (
        "product name", "item name", "description", "article name", "label", "title", "نام کالا", "نام محصول",
        "شرح کالا", "شرح",
    ),
    "quantity": ("quantity", "qty", "pieces", "count", "units", "number", "n", "تعداد", "مقدار"),
    "price": (
        "price", "unit price", "unitprice", "each", "price each", "item price", "قیمت", "قیمت واحد", "فی", "مبلغ واحد",
    ),
    "amount": (
        "amount", "line total", "line amount", "sales", "sales value", "value", "مبلغ", "مبلغ کل", "جمع", "جمع مبلغ",
        "قیمت کل", "مبلغ ردیف",
    ),
    "discount": ("discount", "discount amount", "تخفیف", "مبلغ تخفیف"),
    "tax": ("tax", "vat", "taxes", "مالیات", "ارزش افزوده"),
    "total": ("total", "order total", "grand total", "total price", "مبلغ نهایی", "قابل پرداخت", "مبلغ قابل پرداخت"),
    "currency": ("currency", "currency code", "order currency", "ارز", "واحد پول"),
    "category": ("category", "department", "دسته", "دسته بندی", "گروه کالا", "گروه"),
    "brand": ("brand", "برند", "مارک"),
    "store": ("store", "branch", "shop", "till", "فروشگاه", "شعبه", "صندوق"),
    "coupon": ("coupon", "coupon code", "discount code", "voucher", "کد تخفیف", "کوپن"),
    "lead_source": ("lead source", "source", "منبع سرنخ", "منبع", "نحوه آشنایی"),
    "lead": ("lead", "lead id", "lead no", "کد سرنخ", "شماره سرنخ", "شناسه سرنخ", "سرنخ"),
    "owner": ("owner", "lead owner", "assigned to", "کارشناس", "مسئول"),
    "status": ("status", "lead status", "stage", "وضعیت", "مرحله"),
    "event": ("event", "event type", "event name", "type", "action", "رویداد", "نوع رویداد"),
    "id": ("id", "row id", "record id", "unique id", "شناسه", "کد", "ردیف"),
}  # fmt: skip


GERMAN_AND_FRENCH: Final[dict[str, tuple[str, ...]]] = {
    "email": ("e mail adresse", "courriel", "adresse email",),
    "phone": ("telefon", "handy", "telefonnummer", "téléphone", "portable",),
    "user_id": ("kundennummer", "kunden nr", "kundennr", "kunden id", "numéro client", "id client",),
    "loyalty_card": ("kundenkarte", "carte de fidélité",),
    "first_name": ("vorname", "prénom",),
    "last_name": ("nachname", "nom de famille",),
    "city": ("ort", "stadt", "ville",),
    "country": ("land", "pays",),
    "address": ("straße", "strasse", "adresse",),
    "postal_code": ("plz", "postleitzahl", "code postal",),
    "birthday": ("geburtsdatum", "geburtstag", "date de naissance",),
    "account": ("firma", "unternehmen", "société", "entreprise",),
    "document": (
        "rechnung", "rechnungsnummer", "bestellung", "bestellnummer", "bon", "bonnummer", "belegnummer", "commande",
        "numéro de commande", "facture", "numéro de facture",
    ),
    "time": ("datum", "rechnungsdatum", "bestelldatum", "date de commande",),
    "sku": ("artikelnummer", "artikel nr", "référence",),
    "product_name": ("bezeichnung", "artikelbezeichnung", "désignation",),
    "quantity": ("menge", "anzahl", "quantité",),
    "price": ("preis", "einzelpreis", "stückpreis", "prix", "prix unitaire",),
    "amount": ("betrag", "montant",),
    "discount": ("rabatt", "remise",),
    "tax": ("mwst", "tva",),
    "total": ("gesamt", "summe", "gesamtbetrag",),
    "currency": ("währung", "devise",),
    "category": ("kategorie", "warengruppe", "catégorie",),
    "store": ("filiale", "magasin",),
    "clock": ("uhrzeit", "heure",),
}  # fmt: skip


def folded(name: str) -> str:
    """A column's name without case, marks and the variants of Persian letters."""
    text = unicodedata.normalize("NFKC", name).translate(str.maketrans("يىكةأإآۀ", "ییکهاااه"))
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    text = re.sub(r"[\u064b-\u0652\u0654\u0640]", "", text).replace("\u200c", " ")
    return " ".join(re.split(r"[^\w]+|_", text.casefold())).strip()


PRODUCTS: Final = frozenset(("product", "item", "article", "artikel", "produkt", "produit", "کالا", "محصول"))
"""A product's name or its number: the other columns and the values decide."""

BY_WORD: Final = {
    folded(word): meaning
    for words_of in (GERMAN_AND_FRENCH, WORDS)
    for meaning, words in words_of.items()
    for word in words
}
