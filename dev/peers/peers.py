"""What packages of PyPI make of the vectors: the same, nothing, or somebody else."""

import json
import sys

import phonenumbers
from email_validator import validate_email
from facebook_business.adobjects.serverside.normalize import Normalize

with open(sys.argv[1], encoding="utf-8") as file:
    VECTORS = json.load(file)


def count(name, kinds, read):
    same = none = other = 0
    for written, expected, kind in kinds:
        try:
            found = read(written, kind)
        except Exception:  # Each package refuses in its own way.
            found = None
        if found == expected:
            same += 1
        elif found:
            other += 1
        else:
            none += 1
    print(f"{name}: {same} the same, {none} none, {other} another")


def validated(text, _):
    read = validate_email(text.strip(), check_deliverability=False, allow_display_name=True, test_environment=True)
    return (read.local_part + "@" + read.ascii_domain).lower()


def number(text, kind):
    read = phonenumbers.parse(text, kind.get("region"))
    if phonenumbers.is_valid_number(read):
        return phonenumbers.format_number(read, phonenumbers.PhoneNumberFormat.E164)
    return None


emails = [(w, it["spelling"], it) for it in VECTORS["emails"] for w in it["written"]]
phones = [(str(w), it["e164"], it) for it in VECTORS["phones"] for w in it["written"]]
count("e-mail, email-validator", emails, validated)
hashes = [(w, it["sha256"], it) for it in VECTORS["emails"] for w in it["written"]]
count("e-mail, facebook-business", hashes, lambda text, _: Normalize.normalize("em", text, True))
count("phone, phonenumbers", phones, number)
hashes = [(str(w), it["digits_sha256"], it) for it in VECTORS["phones"] for w in it["written"]]
count("phone, facebook-business", hashes, lambda text, _: Normalize.normalize("ph", text, True))
