"""What docs/openapi.yaml says in prose because no schema can: schemathesis' own bodies follow it, too."""

import re
import unicodedata

import schemathesis

TIME = re.compile(r"[0-9]{4}(-[0-9]{2}-[0-9]{2}[Tt ])")
# Invisible, and in none of the categories of format characters and separators.
FILLERS = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")


def visible(text):
    return "".join(c for c in FILLERS.sub("x", text) if unicodedata.category(c) not in ("Cf", "Zl", "Zp"))


@schemathesis.hook
def map_body(context, body):
    if not isinstance(body, dict):
        return body
    if isinstance(body.get("email"), str):
        body["email"] = visible(body["email"])
    # Not before 2000 and not in the future. Every day of a year is one of a leap year.
    for name in ("occurred_at", "updated_at"):
        if isinstance(body.get(name), str):
            body[name] = TIME.sub(r"2024\1", body[name])
    # At most six decimals.
    if isinstance(body.get("value"), float):
        body["value"] = round(body["value"], 6 if abs(body["value"]) < 1e6 else 0)
    # A deal that names nobody but by phone needs a number that exists.
    phone = body.get("phone")
    if "crm_deal_id" in body and isinstance(phone, str) and re.fullmatch(r"[^\x00-\x1f\x7f-\x9f]{1,64}", phone):
        if any(character.isdecimal() for character in phone):
            body["phone"] = "+49 30 901820"
    return body
