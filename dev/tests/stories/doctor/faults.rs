//! The faults, each with the findings that name it. Where there are several, the others follow from it.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use google_sandbox::{AdsAccount, Endpoint, Fault, FaultKind, GoogleAccount, GoogleSandbox};

use super::front::Disturbance;
use super::{Call, Setup};

/// Something that is wrong with a deployment.
pub struct Planted {
    pub name: &'static str,
    pub changes: &'static [Change],
    /// Level, check, and a part of the problem.
    pub found: &'static [(&'static str, &'static str, &'static str)],
}

/// How a fault is planted.
pub enum Change {
    Call(fn(&mut Call, &Setup)),
    Front(Disturbance),
    Google(fn(&GoogleSandbox)),
    Sql {
        made: &'static str,
        undone: &'static str,
    },
    /// Of roles, which all databases of the server have.
    Roles {
        made: &'static str,
        undone: &'static str,
    },
}

use Change::{Front, Google, Roles, Sql};

/// In the secret.
macro_rules! secret {
    ($name:literal: $value:expr) => {
        Change::Call(|call, _| drop(call.deployed.secret.insert($name.into(), $value.into())))
    };
    (without $name:literal) => {
        Change::Call(|call, _| drop(call.deployed.secret.remove($name)))
    };
}

/// A parameter of the stack.
macro_rules! parameter {
    ($name:literal: $value:expr) => {
        Change::Call(|call, _| drop(call.deployed.parameters.insert($name.into(), $value.into())))
    };
}

/// An output of the stack.
macro_rules! output {
    ($name:literal: $value:expr) => {
        Change::Call(|call, _| drop(call.deployed.outputs.insert($name.into(), $value.into())))
    };
}

/// AWS refuses an action.
macro_rules! refused {
    ($action:literal: $code:literal) => {
        Change::Call(|call, _| call.deployed.refused = Some(($action, $code)))
    };
}

const ERROR: &str = "error";
const WARNING: &str = "warning";

/// Nothing is known then of the settings.
const WITHOUT_A_STACK: &[(&str, &str, &str)] = &[
    (ERROR, "stack", ""),
    (ERROR, "settings", "Missing: DATABASE_URL, ALLOWED_ORIGINS"),
    (WARNING, "destinations", "There is no destination"),
    (ERROR, "site.origin", "isn't one of ALLOWED_ORIGINS"),
];

pub const FAULTS: &[Planted] = &[
    // -- Settings --
    Planted {
        name: "keys are missing",
        changes: &[secret!(without "IP_HASH_KEY"), secret!(without "WEBHOOK_SECRET")],
        found: &[(ERROR, "settings", "Missing: IP_HASH_KEY, WEBHOOK_SECRET.")],
    },
    Planted {
        name: "values are mistyped, and all are said",
        changes: &[parameter!("ConsentUnknown": "maybe"), secret!("CLICK_HOLD_SECONDS": "soon")],
        found: &[(ERROR, "settings", "CONSENT_UNKNOWN must"), (ERROR, "settings", "CLICK_HOLD_SECONDS must")],
    },
    Planted {
        name: "a secret is too short",
        changes: &[secret!("IP_HASH_KEY": "short")],
        found: &[(ERROR, "settings", "IP_HASH_KEY must be a secret of at least 16 characters")],
    },
    Planted {
        name: "a secret is still the placeholder",
        changes: &[secret!("WEBHOOK_SECRET": "your-webhook-secret-here")],
        found: &[
            (ERROR, "settings.placeholders", "WEBHOOK_SECRET looks like the placeholder"),
            (ERROR, "webhook.crm-conversion", "refuses webhooks"),
        ],
    },
    Planted {
        name: "the connection string is still the example",
        changes: &[
            secret!("DATABASE_URL": "postgresql://postgres.abc:[YOUR-PASSWORD]@aws-0-x.pooler.supabase.com:6543/postgres"),
        ],
        found: &[(ERROR, "settings.placeholders", "DATABASE_URL looks like the placeholder")],
    },
    Planted {
        name: "the connection string is none",
        changes: &[secret!("DATABASE_URL": "hush@somewhere")],
        found: &[(ERROR, "settings", "DATABASE_URL must look like postgresql://")],
    },
    Planted {
        name: "a declaration has an error",
        changes: &[secret!("CRM_SOURCES": "[acme")],
        found: &[(ERROR, "settings", "CRM_SOURCES")],
    },
    // -- Database --
    Planted {
        name: "the password has an @ and a / that aren't encoded",
        changes: &[secret!("DATABASE_URL": "postgresql://app:hush@hu/sh@127.0.0.1:6543/postgres")],
        found: &[(ERROR, "database.address", "not known in DNS")],
    },
    Planted {
        name: "the direct host has only IPv6",
        changes: &[
            secret!("DATABASE_URL": "postgresql://postgres:hush@db.abcdefghijklmnopqrst.supabase.co:5432/postgres"),
        ],
        found: &[(ERROR, "database.address", "has only an IPv6 address")],
    },
    Planted {
        name: "the functions have the session port",
        changes: &[
            secret!("DATABASE_URL": "postgresql://postgres.abc:hush@aws-0-eu-central-1.pooler.supabase.com:5432/postgres"),
        ],
        found: &[(ERROR, "database.address", "DATABASE_URL has port 5432")],
    },
    Planted {
        name: "the database is away",
        changes: &[secret!("DATABASE_URL": "postgresql://app:hush@127.0.0.1:9/postgres")],
        found: &[(ERROR, "database.login", "The database is not available")],
    },
    Planted {
        name: "the database has another name",
        changes: &[Change::Call(|call, setup| {
            call.deployed.secret.insert("DATABASE_URL".into(), setup.pooler.url("no_such_database"));
        })],
        found: &[(ERROR, "database.login", "The database is not available")],
    },
    Planted {
        name: "the schema is older",
        changes: &[Sql {
            made: "delete from public._sqlx_migrations where version = 30",
            undone: "insert into public._sqlx_migrations values (30, 'outcomes', now(), true, '', 0)",
        }],
        found: &[(ERROR, "database.schema", "it lacks 030_outcomes")],
    },
    Planted {
        name: "the schema is newer",
        changes: &[Sql {
            made: "insert into public._sqlx_migrations values (999, 'the future', now(), true, '', 0)",
            undone: "delete from public._sqlx_migrations where version = 999",
        }],
        found: &[(ERROR, "database.schema", "it has migration 999")],
    },
    Planted {
        name: "the schema is half migrated",
        changes: &[Sql {
            made: "update public._sqlx_migrations set success = false where version = 12",
            undone: "update public._sqlx_migrations set success = true where version = 12",
        }],
        found: &[(ERROR, "database.schema", "half migrated: 012_candidates is missing or unfinished")],
    },
    Planted {
        name: "row level security is off",
        changes: &[Sql {
            made: "alter table public.inbox disable row level security",
            undone: "alter table public.inbox enable row level security",
        }],
        found: &[(ERROR, "database.access", "Row level security of the table inbox is off")],
    },
    Planted {
        name: "a policy lets the Data API in",
        changes: &[Sql {
            made: "create policy open on public.visitors for select to anon using (true)",
            undone: "drop policy open on public.visitors",
        }],
        found: &[(ERROR, "database.access", "The table visitors has a policy that lets others in: open for anon")],
    },
    Planted {
        name: "rights on a table are granted, and on a column",
        changes: &[Sql {
            made: "grant select, insert on public.leads to anon; grant update (email) on public.leads to authenticated",
            undone: "revoke all on public.leads from anon, authenticated;
                     revoke update (email) on public.leads from authenticated",
        }],
        found: &[
            (ERROR, "database.access", "anon may insert, select leads"),
            (ERROR, "database.access", "authenticated may update (email) leads"),
        ],
    },
    Planted {
        name: "a view runs as its owner",
        changes: &[Sql {
            made: "alter view public.conversion_metrics reset (security_invoker)",
            undone: "alter view public.conversion_metrics set (security_invoker = true)",
        }],
        found: &[(ERROR, "database.access", "The view conversion_metrics runs as its owner")],
    },
    Planted {
        name: "everybody may call a function",
        changes: &[Sql {
            made: "grant execute on function public.leads_set_updated_at() to public",
            undone: "revoke execute on function public.leads_set_updated_at() from public",
        }],
        found: &[(ERROR, "database.access", "The function leads_set_updated_at() may be called by public")],
    },
    Planted {
        name: "row level security doesn't hold for the Data API",
        changes: &[Roles { made: "alter role anon bypassrls", undone: "alter role anon nobypassrls" }],
        found: &[(ERROR, "database.access", "Row level security doesn't hold for anon, which has bypassrls")],
    },
    Planted {
        name: "rights come by membership, to a policy as well",
        changes: &[Roles {
            made: "create role doctors_team; alter role anon inherit; grant doctors_team to anon;
                   grant select on public.leads to doctors_team;
                   create policy team on public.visitors to doctors_team using (true)",
            undone: "drop policy team on public.visitors; revoke all on public.leads from doctors_team;
                     drop role doctors_team; alter role anon noinherit",
        }],
        found: &[
            (ERROR, "database.access", "Membership in doctors_team lets others in: anon has its rights on leads"),
            (ERROR, "database.access", "visitors has a policy that lets others in: team for anon through doctors_team"),
        ],
    },
    Planted {
        name: "everything may be read",
        changes: &[Roles {
            made: "alter role authenticated inherit; grant pg_read_all_data to authenticated",
            undone: "revoke pg_read_all_data from authenticated; alter role authenticated noinherit",
        }],
        found: &[(ERROR, "database.access", "Membership in pg_read_all_data lets others in: authenticated has")],
    },
    Planted {
        name: "a view of the site shows leads, and a copy of it",
        changes: &[Sql {
            made: "create schema crm; grant usage on schema crm to anon;
                   create view crm.emails as select email from public.leads; grant select on crm.emails to anon;
                   create materialized view public.copy as select * from crm.emails;
                   grant select on public.copy to public",
            undone: "drop schema crm cascade",
        }],
        found: &[
            (
                ERROR,
                "database.access",
                "The view crm.emails shows rows of Adtrail's tables past their rights: anon may",
            ),
            (ERROR, "database.access", "The view public.copy shows rows of Adtrail's tables past their rights: public"),
        ],
    },
    // -- Destinations --
    Planted {
        name: "the refresh token was revoked",
        changes: &[secret!("GOOGLE_REFRESH_TOKEN": "another-refresh-token")],
        found: &[(ERROR, "destination.google_ads", "refuses conversions of closed, qualified (invalid_grant)")],
    },
    Planted {
        name: "the account is another's",
        changes: &[parameter!("GoogleAdsCustomerId": "999-999-9999")],
        found: &[(ERROR, "destination.google_ads", "refuses conversions of closed, qualified")],
    },
    Planted {
        name: "a conversion action doesn't exist",
        changes: &[parameter!("GoogleAdsConversionActionQualified": "111")],
        found: &[(ERROR, "destination.google_ads", "refuses conversions of qualified")],
    },
    Planted {
        name: "the account isn't admitted to uploads through the Google Ads API",
        changes: &[
            secret!("GOOGLE_ADS_TRANSPORT": "google_ads"),
            Google(|google| {
                let account = AdsAccount::from(&GoogleAccount::dev());
                google.add_account(AdsAccount { allow_listed_for_click_uploads: false, ..account });
            }),
        ],
        found: &[(ERROR, "destination.google_ads", "CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE")],
    },
    Planted {
        name: "Google is away",
        changes: &[Google(|google| {
            let kind = FaultKind::Http { status: 503, retry_after: None, reason: None, body: None };
            google.script(Fault::once(Endpoint::Ingest, kind).times(100)).unwrap();
        })],
        found: &[(WARNING, "destination.google_ads", "didn't say whether it takes conversions of closed, qualified")],
    },
    Planted {
        name: "the version of the API has ended",
        changes: &[secret!("GOOGLE_ADS_API_VERSION": "v22")],
        found: &[
            (WARNING, "versions", "version v22 of the Google Ads API off on about 2026-10-07"),
            (ERROR, "destination.google_ads", "UNSUPPORTED_VERSION"),
        ],
    },
    Planted {
        name: "a declared destination lacks its credentials and isn't deployed",
        changes: &[secret!("DESTINATIONS": "[france]\nplatform = \"google-ads\"\ncustomer_id = \"222-333-4444\"\n\
             credentials = { service_account_key = \"FRANCE_KEY\" }\nactions = { closed = 111 }")],
        found: &[
            (ERROR, "destination.france", "refuses conversions of closed (credentials)"),
            (ERROR, "api.lanes", "don't have the lanes france, france_restatements, france_retractions"),
        ],
    },
    Planted {
        name: "there is no destination",
        changes: &[parameter!("GoogleAdsCustomerId": "")],
        found: &[(WARNING, "destinations", "There is no destination")],
    },
    Planted {
        name: "a lane is paused",
        changes: &[Sql {
            made: "insert into public.platform_state (platform, state, reason, paused_at, next_probe_at)
                   values ('google_ads', 'paused', 'TERMS: Accept the terms.', now(), now() + interval '1 day')",
            undone: "delete from public.platform_state",
        }],
        found: &[
            (ERROR, "lanes", "The lane google_ads is paused, and 0 conversions wait: TERMS: Accept the terms."),
            (WARNING, "api.status", "degraded"),
        ],
    },
    // -- API --
    Planted {
        name: "nothing answers at the address",
        changes: &[output!("BaseUrl": "http://127.0.0.1:9")],
        found: &[(ERROR, "api", "The connection is refused")],
    },
    Planted {
        name: "the address has no TLS",
        changes: &[Change::Call(|call, setup| {
            let base = setup.front.base.replace("http:", "https:");
            call.deployed.outputs.insert("BaseUrl".into(), base);
        })],
        found: &[(ERROR, "api", "It doesn't speak TLS")],
    },
    Planted {
        name: "the name of the API isn't known",
        changes: &[output!("BaseUrl": "https://api.adtrail-doctor.invalid")],
        found: &[(ERROR, "api", "isn't known in DNS")],
    },
    Planted {
        name: "the functions have another health key",
        changes: &[secret!("HEALTH_KEY": "hush-another-health-key")],
        found: &[(ERROR, "api.health", "another HEALTH_KEY")],
    },
    Planted {
        name: "the function's database is away",
        changes: &[Front(|request| at(request, "/api/health/tracking", StatusCode::SERVICE_UNAVAILABLE, ""))],
        found: &[(ERROR, "api.health", "can't use its database")],
    },
    Planted {
        name: "the function doesn't start",
        changes: &[Front(|request| at(request, "/api/health/tracking", StatusCode::INTERNAL_SERVER_ERROR, ""))],
        found: &[(ERROR, "api.health", "doesn't start or fails (status 500)")],
    },
    Planted {
        name: "another system answers",
        changes: &[Front(|request| at(request, "/api/health/tracking", StatusCode::OK, "<html>Welcome</html>"))],
        found: &[(ERROR, "api.health", "isn't Adtrail's health endpoint")],
    },
    Planted {
        name: "Google's tag gateway is on our path",
        changes: &[Front(|request| at(request, "/api/healthy", StatusCode::OK, "ok"))],
        found: &[(ERROR, "api.tag_gateway", "serves /api of this address")],
    },
    Planted {
        name: "this machine's clock is wrong",
        changes: &[Front(|request| {
            let mut answer =
                at(request, "/api/health/tracking", StatusCode::OK, r#"{"status": "healthy", "platforms": []}"#)?;
            answer.headers_mut().insert(header::DATE, "Sun, 22 Nov 2026 12:00:00 GMT".parse().unwrap());
            Some(answer)
        })],
        found: &[(WARNING, "clock.api", "ahead of that of the API")],
    },
    Planted {
        name: "the functions have another webhook secret",
        changes: &[secret!("WEBHOOK_SECRET": "hush-another-webhook-secret")],
        found: &[(ERROR, "webhook.crm-conversion", "refuses webhooks that are signed with the secret")],
    },
    Planted {
        name: "a source isn't deployed",
        changes: &[Change::Call(|call, _| {
            call.deployed.secret.get_mut("CRM_SOURCES").unwrap().push_str("[acme]\npreset = \"n8n\"\n");
            call.deployed.secret.insert("N8N_SECRET".into(), "hush-secret-of-n8n".into());
        })],
        found: &[(ERROR, "webhook.acme", "The API has no source acme")],
    },
    Planted {
        name: "something in front takes every webhook",
        changes: &[Front(|request| at(request, "/api/webhooks/zoho", StatusCode::NO_CONTENT, ""))],
        found: &[(ERROR, "webhook.zoho", "with a wrong signature isn't refused")],
    },
    Planted {
        name: "an origin isn't deployed",
        changes: &[Change::Call(|call, setup| {
            let origins = format!("{},https://shop.example.com", setup.front.base);
            call.deployed.parameters.insert("AllowedOrigins".into(), origins);
        })],
        found: &[(ERROR, "cors.https://shop.example.com", "the preflight is answered with status 403")],
    },
    Planted {
        name: "API Gateway answers preflights, and for everybody",
        changes: &[Front(|request| {
            let preflight = (request.method() == Method::OPTIONS).then(|| StatusCode::NO_CONTENT.into_response());
            preflight.map(|mut answer| {
                answer.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*".parse().unwrap());
                answer
            })
        })],
        found: &[
            (ERROR, "cors.http://127.0.0.1", "the preflight doesn't allow the origin"),
            (ERROR, "cors.foreign", "Pages of any website may call"),
        ],
    },
    // -- Cookies and the site --
    Planted {
        name: "the cookie's domain is a public suffix",
        changes: &[secret!("COOKIE_DOMAIN": "co.uk")],
        found: &[(ERROR, "cookies.domain", "which no browser takes")],
    },
    Planted {
        name: "the cookie's domain isn't the site's",
        changes: &[secret!("COOKIE_DOMAIN": "example.com")],
        found: &[
            (ERROR, "cookies.domain", "the site is at 127.0.0.1, which isn't in it"),
            (ERROR, "cookies.domain", "the API is at 127.0.0.1, which isn't in it"),
        ],
    },
    Planted {
        name: "the API is another site, for which the page isn't listed",
        changes: &[Change::Call(|call, setup| {
            *call.arguments.last_mut().unwrap() = setup.front.base.replace("127.0.0.1", "localhost");
        })],
        found: &[
            (ERROR, "cookies", "Browsers drop the cookies"),
            (ERROR, "site.origin", "isn't one of ALLOWED_ORIGINS"),
        ],
    },
    Planted {
        name: "the website is away",
        changes: &[Change::Call(|call, _| *call.arguments.last_mut().unwrap() = "http://127.0.0.1:9".into())],
        found: &[(ERROR, "site.redirects", "can't be reached. The connection is refused or breaks")],
    },
    Planted {
        name: "a redirect drops the query",
        changes: &[
            Change::Call(|call, _| call.arguments.last_mut().unwrap().push_str("/landing")),
            Front(|request| {
                (request.uri().path() == "/landing").then(|| Redirect::permanent("/welcome").into_response())
            }),
        ],
        found: &[(ERROR, "site.redirects", "/landing to ")],
    },
    Planted {
        name: "redirects lead in a circle",
        changes: &[
            Change::Call(|call, _| call.arguments.last_mut().unwrap().push_str("/landing")),
            Front(|request| {
                (request.uri().path() == "/landing")
                    .then(|| Redirect::temporary(&request.uri().to_string()).into_response())
            }),
        ],
        found: &[(ERROR, "site.redirects", "redirects more than 10 times")],
    },
    // -- Schedule --
    Planted {
        name: "the schedule stopped",
        changes: &[Sql {
            made: "update public.uploader_runs set ended_at = ended_at - interval '1 hour'",
            undone: "update public.uploader_runs set ended_at = ended_at + interval '1 hour'",
        }],
        found: &[(WARNING, "schedule", "The uploader last ran 60 minutes ago")],
    },
    Planted {
        name: "the uploader never ran",
        changes: &[Sql {
            made: "delete from public.uploader_runs",
            undone: "insert into public.uploader_runs values ('upload-conversions', now())",
        }],
        found: &[(WARNING, "schedule", "has never run")],
    },
    // -- Stack --
    Planted {
        name: "the stack is in another region",
        changes: &[Change::Call(|call, _| call.arguments[3] = "elsewhere".into())],
        found: WITHOUT_A_STACK,
    },
    Planted {
        name: "the stack may not be looked at",
        changes: &[refused!("DescribeStacks": "AccessDenied")],
        found: WITHOUT_A_STACK,
    },
    Planted {
        name: "the secret may not be read",
        changes: &[refused!("GetSecretValue": "AccessDeniedException")],
        found: &[
            (ERROR, "secret", "can't be read"),
            (ERROR, "settings", "Missing: DATABASE_URL, IP_HASH_KEY, WEBHOOK_SECRET, HEALTH_KEY, "),
        ],
    },
    Planted {
        name: "the last deployment was taken back",
        changes: &[Change::Call(|call, _| call.deployed.status = "UPDATE_ROLLBACK_COMPLETE".into())],
        found: &[(WARNING, "stack", "failed and was taken back")],
    },
    Planted {
        name: "the first deployment failed",
        changes: &[Change::Call(|call, _| call.deployed.status = "ROLLBACK_COMPLETE".into())],
        found: &[(ERROR, "stack", "is not complete (ROLLBACK_COMPLETE)")],
    },
    Planted {
        name: "nobody confirmed the alarms",
        // Slack's function needs no confirmation.
        changes: &[Change::Call(|call, _| call.deployed.subscriptions[1].1 = "PendingConfirmation".into())],
        found: &[(ERROR, "alarms", "the subscription isn't confirmed")],
    },
    Planted {
        name: "nobody is to get the alarms",
        changes: &[Change::Call(|call, _| call.deployed.subscriptions.truncate(1))],
        found: &[(ERROR, "alarms", "Nobody gets the alarms")],
    },
    Planted {
        name: "the alarms may not be looked at",
        changes: &[refused!("ListSubscriptionsByTopic": "AuthorizationError")],
        found: &[(ERROR, "alarms", "may not call sns:ListSubscriptionsByTopic")],
    },
    Planted {
        name: "the stack has no output for its topic",
        changes: &[Change::Call(|call, _| drop(call.deployed.outputs.remove("AlarmTopicArn")))],
        found: &[(WARNING, "alarms", "no output AlarmTopicArn")],
    },
    Planted {
        name: "another secret is read here",
        changes: &[Change::Call(|call, _| drop(call.environment.insert("ADTRAIL_SECRET_ID".into(), "staging".into())))],
        found: &[(ERROR, "stack.secret", "another secret than ADTRAIL_SECRET_ID names")],
    },
    Planted {
        name: "an argument is no address",
        changes: &[Change::Call(|call, _| *call.arguments.last_mut().unwrap() = "ftp://app:hush@example.com".into())],
        found: &[(ERROR, "arguments", "--site isn't an address")],
    },
];

/// Answers at a path.
fn at(request: &Request, path: &str, status: StatusCode, body: &'static str) -> Option<Response> {
    (request.uri().path() == path).then(|| (status, Body::from(body)).into_response())
}
