/*
 * The tag. One line on a page reports its visits, events, leads and consent to the paths beside this script:
 * https://www.example.com/t.js posts to /t/v, /t/e, /t/l and /t/c. It needs nothing from the page, changes none of its
 * functions, and no exception of it ever reaches the page.
 *
 * Every visitor loads every byte, so this is written for size: `make tag` builds dist/ from it and says how big it is,
 * `cargo test -p dev --test tag` holds the limit. docs/website.md says how pages use it.
 */
try {
  let queued = self.adtrail || [];
  let {
    src,
    dataset: { ga4, ads },
  } = document.currentScript;
  let safe = (f) => (...args) => {
    try {
      return f(...args);
    } catch {}
  };

  // Where the visitor landed. This script comes late: a router may have changed the address before. The browser's record
  // of how the page was entered stays as it was, fragment and all. Without one there is only the address.
  let landing = self.navigation?.activation?.entry?.url || location.href;
  let referrer = document.referrer;
  let seen; // the place that was reported last

  // Consent, in Consent Mode's two forms: commands in the dataLayer, and the state that Google's tag makes of them. That
  // is all there is when a consent platform's template speaks to Google's tag directly. Purposes start with "a"; more of
  // them than the server knows do no harm.
  self.dataLayer ||= [];
  let words = ["denied", "granted"];
  let told; // what the server was told last
  let consent = () => {
    let said = {};
    safe(() => {
      dataLayer.map(
        safe(([command, action, values]) => {
          if (command == "consent")
            for (let it in values)
              if (
                it[0] == "a" &&
                (values[it] == words[0] ||
                  // Only Google's tag knows who is in the region of a default. Until it says so, a no is for everybody.
                  (values[it] == words[1] && (action == "update" || !(values.region || said[it]))))
              )
                said[it] = values[it];
        })
      );
      let google = self.google_tag_data?.ics?.entries;
      for (let it in google) said[it] = words[+(google[it].update ?? google[it].default)] || said[it];
    })();
    return said;
  };

  // The buffer: {k: kind, b: body, s: 1 on its way, 2 failed, 3 answered}. What failed waits for the next page of this
  // tab, a lead from the start: its form may be gone before the answer. Ids are in the bodies, so repeating is harmless.
  let load = safe(() => JSON.parse(sessionStorage.adtrail).filter((it) => it.k)); // unless another script wrote it
  let items = load() || [];
  let save = safe(() => {
    items = items.filter((it) => it.s != 3).slice(-20);
    let kept = items.filter((it) => it.k == "l" || it.s > 1);
    // Most visitors' storage is never touched.
    if (kept[0] || sessionStorage.adtrail) sessionStorage.adtrail = JSON.stringify(kept, ["k", "b"]);
  });
  let send = (k, body) => {
    body.gpc = navigator.globalPrivacyControl;
    // Also in a statement of consent itself, where it says nothing new.
    body.consent = { ...consent(), ...body.consent };
    // Texts longer than the endpoints take are cut.
    items.push({ k, b: JSON.stringify(body, (name, it) => it?.slice?.(0, 5e3) ?? it) });
    save();
    flush();
  };
  let fire = async (item) => {
    let url = src.replace(/\.js(\?.*)?$/, "/") + item.k;
    let status;
    item.s = 1;
    try {
      // Nobody hears whether a beacon arrived, so only a page that goes away sends one. A visit never is one: the others
      // wait for its answer.
      (item.k != "v" && document.hidden && navigator.sendBeacon(url, item.b)) ||
        // A string is text/plain: no preflight.
        (status = (await fetch(url, { method: "POST", body: item.b, keepalive: true, credentials: "include" })).status);
    } catch {
      status = 429;
    }
    item.s = status == 429 || status > 499 ? 2 : 3;
    save();
    // The server doesn't know this browser yet. The visit says its consent, too.
    if (status == 409 && item.k == "c") visit("load", landing);
    flush();
  };
  // Visits go first and one by one: the answer sets the cookie that ties the rest to the visitor. A page that goes away
  // waits for nothing. A prerendered one may never be seen, and sends nothing before it is.
  let flush = safe(
    () =>
      document.prerendering ||
      items.some((it) => {
        it.s || fire(it);
        return !document.hidden && it.k + it.s == "v1";
      })
  );

  let visit = (why, url = location.href) => {
    send("v", { url, referrer, why });
    referrer = location.href;
  };
  // Looks whether the place or the consent changed. A fragment is a place only if it looks like a router's.
  let look = safe(() => {
    let said = JSON.stringify(consent());
    let place = location.href.replace(/#(?![!/]).*/, "");
    if (seen) {
      if (said != told) send("c", consent());
      if (seen != place) visit("route");
    } else visit("load", landing);
    told = said;
    seen = place;
    flush();
  });

  // Google's tag, if it is wanted and was really loaded: its stub is there even when it is blocked.
  let google = safe((wanted, ...args) => {
    return wanted && google_tag_manager && (gtag(...args), "gtag");
  });
  let mint = () => "" + Math.random() + Date.now();
  let event = (event_name, params, event_id = mint()) => {
    send("e", {
      event_id,
      event_name,
      params,
      page_url: location.href,
      // One of the two tells GA4.
      sent_by: google(ga4, "event", event_name, { ...params, event_id }),
    });
    return event_id;
  };

  let since = 0; // when a form was touched first
  let last; // what the last lead said
  let lead = (from) => {
    let said = {};
    if (from.elements)
      [...from.elements].map((field) => {
        let hint = field.type + " " + field.autocomplete + " " + field.name;
        let is = (pattern) => pattern.test(hint);
        let what =
          field.dataset.lead ||
          // Only fields of plain text are looked at unasked: text, tel, textarea, email.
          (is(/^te|^em/) &&
            (is(/mail/i)
              ? "email"
              : is(/\btel|phone/i)
              ? "phone"
              : is(/area|message/i)
              ? "message"
              : // name, first-name, lastName, full_name, your-name, given-name, family-name, surname, fname, lname; but no
                // company's, user's or card's.
                is(/[ [](\w+(st|ll|ur|en|ly))?.?name/i) && "name"));
        if (field.value)
          "honeypot" in field.dataset
            ? (said.honeypot = true)
            : what && (said[what] ? what == "name" && (said.name += " " + field.value) : (said[what] = field.value));
      });
    else said = { ...from };
    // A second click on the button is no second lead.
    if (said.email && last != (last = JSON.stringify(said))) {
      let transaction_id = (said.transaction_id ||= mint());
      said.fill_ms = (performance.now() - since) | 0;
      send("l", said);
      said.gpc ||
        said.consent.ad_user_data == words[0] ||
        google(ga4 || ads, "set", "user_data", { email: said.email, phone_number: said.phone });
      google(ads, "event", "conversion", { send_to: ads, transaction_id });
      event("generate_lead", { transaction_id }, transaction_id);
      return transaction_id;
    }
  };

  let api = {
    event: safe(event),
    lead: safe(lead),
    // The same as gtag("consent", "update", values), which Google's tag hears as well.
    consent: safe((values) => {
      (function () {
        dataLayer.push(arguments);
      })("consent", "update", values);
      look();
    }),
    push: safe(([name, ...args]) => api[name](...args)),
  };
  // Otherwise the tag is on the page twice.
  if (!queued.event) {
    adtrail = api;
    // Capturing on the window, so that no handler of the page comes before.
    ["online", "visibilitychange", "pageshow", "focusin", "submit"].map((type) =>
      addEventListener(
        type,
        safe((happened) => {
          since ||= happened.target.form && performance.now();
          // From the back/forward cache. Other pages may have sent what was kept here.
          if (happened.persisted) {
            items = load() || items;
            visit("bfcache");
          }
          if (type == "submit" && "lead" in happened.target.dataset) lead(happened.target);
          // What failed has another try, but not with each click into a form.
          happened.target.tagName || document.hidden || items.map((it) => (it.s %= 2));
          look();
        }),
        true
      )
    );
    look();
    // For browsers without the Navigation API, and for consent, which has no event. Looking twice a second costs less
    // than wrapping `history` and `dataLayer`, and nothing that other scripts do to them can break it.
    setInterval(look, 500);
    queued.map(api.push);
    navigation.addEventListener("navigatesuccess", look);
  }
} catch {}
