//! What an API may do to us, over HTTP on the loopback interface.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;

use super::*;
use crate::crm::lookup::DeclaredLookup;
use crate::outgoing::Reach;

/// A server that gives the same answer to everyone, and what it was asked.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// The answer in pieces. After the last one the connection is closed, or stays open for as long as the server.
    fn answering(pieces: Vec<Vec<u8>>, is_closed: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let mut request = [0; 8_192];
                let length = connection.read(&mut request).unwrap_or_default();
                seen.lock().unwrap().push(String::from_utf8_lossy(&request[..length]).into_owned());
                for piece in &pieces {
                    if connection.write_all(piece).is_err() {
                        break;
                    }
                }
                if !is_closed {
                    open.push(connection);
                }
            }
        });
        Self { address, asked }
    }

    fn json(body: &str) -> Self {
        Self::with(&format!("200 OK\r\nContent-Type: application/json\r\nContent-Length: {}", body.len()), body)
    }

    fn with(head: &str, body: &str) -> Self {
        let head = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n{body}");
        Self::answering(vec![head.into_bytes()], true)
    }

    fn url(&self) -> String {
        format!("http://{}/v2/deals/{{/id}}", self.address)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn declared(toml: &str) -> Result<DeclaredLookup, String> {
    #[derive(Deserialize)]
    struct Source {
        fetch: DeclaredLookup,
    }
    toml::from_str(toml).map(|Source { fetch }| fetch).map_err(|error| error.to_string())
}

fn api(toml: &str) -> AnyApi {
    let secret = |name: &str| Some(SecretString::from(format!("{}-sesame", name.to_lowercase())));
    match declared(&format!("[fetch]\n{toml}")).unwrap() {
        DeclaredLookup::Get(get) => AnyApi::get(&get, &secret).unwrap(),
        DeclaredLookup::Post(post) => AnyApi::post(&post, &secret).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn getting(server: &Server) -> AnyApi {
    api(&format!("get = {{ url = \"{}\", token = \"API_TOKEN\" }}", server.url()))
}

async fn fetched(api: &AnyApi) -> Result<Value, LookupError> {
    api.fetch(&json!({"id": "a/1"})).await
}

#[tokio::test]
async fn an_api_is_asked_with_the_items_id_and_the_secret() {
    for (login, header) in [
        ("token = \"API_TOKEN\"", "authorization: Bearer api_token-sesame"),
        ("user = \"me\", password = \"API_PASSWORD\"", "authorization: Basic bWU6YXBpX3Bhc3N3b3JkLXNlc2FtZQ=="),
        ("header = { name = \"X-Api-Key\", secret = \"API_KEY\" }", "x-api-key: api_key-sesame"),
        ("header = { name = \"authorization\", secret = \"API_KEY\" }", "authorization: api_key-sesame"),
    ] {
        let server = Server::json(r#"{"data": {"stage": "Won"}, "emails": ["jane@example.com"]}"#);
        let api = api(&format!("get = {{ url = \"{}\", {login} }}", server.url()));
        let expected = json!({"data": {"stage": "Won"}, "emails": ["jane@example.com"]});
        assert_eq!(fetched(&api).await, Ok(expected));
        let asked = server.asked().concat();
        assert!(asked.starts_with("GET /v2/deals/a%2F1 HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains(header) && asked.contains("accept: application/json"), "{asked}");
        assert!(!format!("{api:?}").contains("sesame"));
    }
    let server = Server::json("[1]");
    assert_eq!(fetched(&api(&format!("get = {{ url = \"{}\" }}", server.url()))).await, Ok(json!([1])));
    assert!(!server.asked().concat().to_lowercase().contains("authorization"));
}

#[tokio::test]
async fn an_api_may_be_asked_by_post() {
    let server = Server::json(r#"{"data": {"items": [{"email": "jane@example.com"}]}}"#);
    let post = |server: &Server| {
        api(&format!(
            "[fetch.post]\nurl = \"http://{}/v2\"\nheader = {{ name = \"authorization\", secret = \"API_TOKEN\" }}
             body = '{{\"query\": \"query ($id: [ID!]) {{ items (ids: $id) {{ name }} }}\", \"variables\": {{\"id\": [\"{{/id}}\"]}}}}'",
            server.address
        ))
    };
    let fetched = post(&server).fetch(&json!({"id": 94})).await.unwrap();
    assert_eq!(fetched["data"]["items"][0]["email"], "jane@example.com");
    let asked = server.asked().concat();
    assert!(asked.starts_with("POST /v2 HTTP/1.1\r\n") && asked.contains(r#""variables":{"id":[94]}"#), "{asked}");
    let nothing = Server::json(r#"{"errors": [{"message": "jane@example.com is unknown"}], "data": null}"#);
    let LookupError::Unreadable { reason } = post(&nothing).fetch(&json!({"id": 94})).await.unwrap_err() else {
        panic!("nothing was read")
    };
    assert!(reason.contains("errors instead of data") && !reason.contains("jane"), "{reason}");
}

#[tokio::test]
async fn a_refusal_says_what_to_do() {
    let refused = async |head: &str| fetched(&getting(&Server::with(head, ""))).await.unwrap_err();
    for (head, fix) in [
        ("401 Unauthorized", "Set API_TOKEN to one that is valid"),
        ("403 Forbidden", "the permission to read it"),
        ("301 Moved Permanently\r\nLocation: http://169.254.169.254/latest", "Set url to the address"),
        ("302 Found\r\nLocation: /elsewhere", "Set url to the address"),
        ("307 Temporary Redirect\r\nLocation: https://example.org/", "Set url to the address"),
    ] {
        let error = refused(head).await;
        assert!(matches!(&error, LookupError::Refused { reason } if reason.contains(fix)), "{head}: {error:?}");
        assert!(!format!("{error:?}").contains("sesame"));
    }
    for head in ["404 Not Found", "410 Gone"] {
        assert!(matches!(refused(head).await, LookupError::Gone { .. }), "{head}");
    }
    for (head, wait) in [
        ("429 Too Many Requests\r\nRetry-After: 30", Some(TimeDelta::seconds(30))),
        ("503 Service Unavailable\r\nRetry-After: 86400", Some(TimeDelta::hours(6))),
        ("500 Internal Server Error", None),
        ("502 Bad Gateway", None),
        ("400 Bad Request", None),
    ] {
        let error = refused(head).await;
        assert!(matches!(&error, LookupError::Later { after, .. } if *after == wait), "{head}: {error:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Server::json("{}");
    let head = format!("302 Found\r\nLocation: http://{}/", target.address);
    assert!(matches!(fetched(&getting(&Server::with(&head, "{}"))).await, Err(LookupError::Refused { .. })));
    assert_eq!(target.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn an_answer_that_is_none_is_asked_for_again() {
    let huge = format!("{{\"a\": \"{}\"}}", "x".repeat(1_100_000));
    let many = format!("[{}0]", "0,".repeat(30_000));
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    for body in ["<html>", "", "{\"a\": 1", "{\"a\": 1, \"a\": 2}", "{\"a\": \"\\u0000\"}", &huge, &many, &deep] {
        let error = fetched(&getting(&Server::json(body))).await.unwrap_err();
        assert!(matches!(error, LookupError::Unreadable { .. }), "{body:.20}: {error:?}");
    }
    let cut = Server::with("200 OK\r\nContent-Length: 100", "{}");
    assert!(matches!(fetched(&getting(&cut)).await, Err(LookupError::Later { .. })));
}

#[tokio::test]
async fn a_slow_answer_is_given_up() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec();
    for pieces in [vec![], vec![head]] {
        let api = getting(&Server::answering(pieces, false));
        let api = AnyApi { caller: api.caller.with_patience(Duration::from_millis(100)), ..api };
        let error = fetched(&api).await.unwrap_err();
        assert!(matches!(&error, LookupError::Later { reason, .. } if reason.contains("in time")), "{error:?}");
    }
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_not_asked() {
    let server = Server::json("{}");
    let port = server.address.rsplit_once(':').unwrap().1;
    let mut url = UrlTemplate::try_from(format!("http://localhost:{port}/{{/id}}")).unwrap();
    // As any other name would be treated whose address is 127.0.0.1.
    url.reach = Reach::Public;
    let login = Login { token: &None, user: &None, password: &None, header: &None };
    let api = AnyApi::new(&url, None, &login, &|_| None).unwrap();
    let error = fetched(&api).await.unwrap_err();
    assert!(matches!(&error, LookupError::Refused { reason } if reason.contains("not on the internet")), "{error:?}");
    assert_eq!(server.asked(), Vec::<String>::new());
    url.reach = Reach::ThisMachine;
    assert_eq!(fetched(&AnyApi::new(&url, None, &login, &|_| None).unwrap()).await, Ok(json!({})));
}

#[tokio::test]
async fn an_item_without_the_id_is_gone_and_nothing_is_asked() {
    let server = Server::json("{}");
    for item in
        [json!({}), json!({"id": null}), json!({"id": ".."}), json!({"id": ["1"]}), json!({"id": "x".repeat(301)})]
    {
        let error = getting(&server).fetch(&item).await.unwrap_err();
        assert!(matches!(&error, LookupError::Gone { reason } if reason.contains("/id")), "{item}: {error:?}");
    }
    assert_eq!(server.asked(), Vec::<String>::new());
}

#[test]
fn an_invalid_declaration_is_refused_in_its_line_with_the_fix() {
    let url = "url = \"https://api.example.com/{/id}\"";
    for (toml, fix) in [
        ("get = { url = \"https://api.example.com/deals\" }".into(), "such as {/deal/id}"),
        ("get = { url = \"http://api.example.com/{/id}\" }".into(), "start with https://"),
        ("get = { url = \"https://192.168.0.1/{/id}\" }".into(), "lead to the internet"),
        (format!("get = {{ {url}, token = \"s3cr3t-sesame\" }}"), "name of a setting"),
        (format!("get = {{ {url}, user = \"me\" }}"), "belong together"),
        (format!("get = {{ {url}, password = \"API_PASSWORD\" }}"), "belong together"),
        (format!("get = {{ {url}, user = \"a:b\", password = \"API_PASSWORD\" }}"), "colon"),
        (format!("get = {{ {url}, token = \"A\", user = \"me\", password = \"B\" }}"), "more than one way"),
        (format!("get = {{ {url}, header = {{ name = \"host\", secret = \"A\" }} }}"), "such as x-api-key"),
        (format!("get = {{ {url}, header = {{ name = \"x y\", secret = \"A\" }} }}"), "such as x-api-key"),
        (format!("get = {{ {url}, tokn = \"A\" }}"), "unknown field `tokn`"),
        ("get = { token = \"A\" }".into(), "missing field `url`"),
        (format!("post = {{ {url} }}"), "missing field `body`"),
        (format!("post = {{ {url}, body = '{{\"id\": {{/id}}}}' }}"), "in quotes"),
        ("post = { url = \"https://api.example.com/v2\", body = '{}' }".into(), "the same for every event"),
    ] {
        let refused = declared(&format!("[fetch]\n{toml}")).unwrap_err();
        assert!(refused.contains(fix) && refused.contains("line 2"), "{toml}: {refused}");
    }
}

#[test]
fn a_missing_or_invalid_secret_is_named() {
    let get = |secret: Option<&'static str>| {
        let toml = "[fetch]\nget = { url = \"https://api.example.com/{/id}\", token = \"API_TOKEN\" }";
        let DeclaredLookup::Get(get) = declared(toml).unwrap() else { panic!("a get") };
        AnyApi::get(&get, &|_| secret.map(SecretString::from)).map(|api| api.asks())
    };
    assert_eq!(get(Some("sesame")), Ok("GET https://api.example.com/{/id}".into()));
    for (secret, problem) in [
        (None, "API_TOKEN is missing. Set it to the secret that the API at api.example.com gave you"),
        (Some(""), "API_TOKEN is missing"),
        (Some("sesame\n"), "API_TOKEN must be visible ASCII"),
        (Some("ses ame "), "API_TOKEN must be visible ASCII"),
        (Some("süsame"), "API_TOKEN must be visible ASCII"),
    ] {
        let refused = get(secret).unwrap_err();
        assert!(refused.contains(problem) && !refused.contains("same"), "{refused}");
    }
}
