//! Pages over HTTP, as a browser without JavaScript meets them.

use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};

use crate::process::{Server, manifests};

fn browser() -> Client {
    Client::builder().redirect(Policy::none()).build().unwrap()
}

#[tokio::test]
async fn a_person_signs_in_looks_and_signs_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let token = server.first_token.clone().unwrap();
    server.json(&token, &["apply", "-f", manifests().to_str().unwrap()]);
    let http = browser();
    let page = format!("{}/initiatives/term-deposit-calls", server.url);

    let outside = http.get(&page).send().await.unwrap();
    assert!(outside.status().is_redirection());
    let login = outside.headers()["location"].to_str().unwrap().to_owned();
    assert!(login.starts_with("/login?next="), "{login}");

    let form = |token: &str| {
        let body = format!("token={token}&next=%2Finitiatives%2Fterm-deposit-calls");
        http.post(format!("{}/login", server.url))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", &server.url)
            .body(body)
    };
    let wrong = form("gl_0000").send().await.unwrap();
    assert!(!wrong.status().is_redirection() && !wrong.headers().contains_key("set-cookie"));

    let right = form(&token).send().await.unwrap();
    assert!(right.status().is_redirection(), "{}", right.status());
    let cookie = right.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let session = cookie.split(';').next().unwrap().to_owned();

    for path in [
        "/",
        "/initiatives/term-deposit-calls",
        "/endpoints/term-deposit-calls",
        "/endpoints/term-deposit-calls/traffic",
        "/endpoints/term-deposit-calls/drift",
        "/endpoints/term-deposit-calls/disagreements",
        "/endpoints/term-deposit-calls/predictions",
        "/endpoints/term-deposit-calls/try",
        "/releases",
        "/endpoints",
        "/experiments",
        "/experiments?name=x%27%25&from=25",
        "/experiments/0",
        "/experiments/0?filter=metrics.auc+%3E+0.7&order=metrics.%60auc%60+DESC&view=all&metric=auc",
        "/experiments/0?filter=nonsense",
        "/runs/compare",
        "/runs/compare?run=none&run=other",
        "/models",
        "/models?name=x%27",
    ] {
        let reply =
            http.get(format!("{}{path}", server.url)).header("cookie", &session).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK, "{path}");
        let policy = reply.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.contains("default-src 'none'"), "{policy}");
        let text = String::from_utf8(reply.bytes().await.unwrap().to_vec()).unwrap();
        assert!(text.contains("<h1") && !text.contains("<script"), "{path}");
    }
    for path in [
        "/releases/none",
        "/experiments/999",
        "/experiments/none",
        "/runs/none",
        "/runs/none/file?path=a",
        "/models/a%20b%2Fc",
    ] {
        let missing =
            http.get(format!("{}{path}", server.url)).header("cookie", &session).send().await.unwrap();
        assert_eq!(missing.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_foreign_site_cannot_decide_in_somebodys_name() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let token = server.first_token.clone().unwrap();
    let decide = browser()
        .post(format!("{}/releases/none/decisions", server.url))
        .header("cookie", format!("greenlight_token={token}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("origin", "http://evil.example")
        .header("sec-fetch-site", "cross-site")
        .body("approved=true&comment=x");
    assert_eq!(decide.send().await.unwrap().status(), StatusCode::FORBIDDEN);
}
