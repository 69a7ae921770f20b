// What packages of npm make of the vectors: the same, nothing, or somebody else.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const validator = require("validator");
const addresses = require("email-addresses");
const { parsePhoneNumberFromString } = require("libphonenumber-js/max");
const { phone } = require("phone");

const vectors = JSON.parse(readFileSync(process.argv[2], "utf8"));

function count(name, kinds, read) {
  const counts = { same: 0, none: 0, other: 0 };
  for (const [written, expected, kind] of kinds) {
    let found;
    try {
      found = read(written, kind);
    } catch {
      found = null;
    }
    counts[found === expected ? "same" : found ? "other" : "none"] += 1;
  }
  console.log(`${name}: ${counts.same} the same, ${counts.none} none, ${counts.other} another`);
}

const emails = vectors.emails.flatMap((it) => it.written.map((written) => [written, it.spelling]));
const phones = vectors.phones.flatMap((it) => it.written.map((written) => [String(written), it.e164, it]));
const asWritten = { gmail_remove_dots: false, gmail_remove_subaddress: false, gmail_convert_googlemaildotcom: false };

count("e-mail, trimmed and in lower case", emails, (text) => text.trim().toLowerCase());
count("e-mail, validator", emails, (text) => {
  const email = text.trim();
  return validator.isEmail(email, { allow_display_name: true }) && validator.normalizeEmail(email, asWritten);
});
count("e-mail, email-addresses", emails, (text) => addresses.parseOneAddress(text)?.address?.toLowerCase());
count("phone, its digits with a plus", phones, (text) => `+${text.replace(/\D/g, "")}`);
count("phone, libphonenumber-js", phones, (text, it) => {
  const number = parsePhoneNumberFromString(text, it.region);
  return number?.isValid() && number.number;
});
count("phone, phone", phones, (text, it) => phone(text, { country: it.region }).phoneNumber);
