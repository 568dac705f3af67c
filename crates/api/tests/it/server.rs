//! A router over a test application, called without a socket.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use greenlight_api::{ApiState, router};
use greenlight_app::App;
use greenlight_domain::role::Role;
use greenlight_serving::Serving;
use greenlight_testkit::{TestApp, actor};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

pub(crate) struct Server {
    pub(crate) test: TestApp,
    router: Router,
}

pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: String,
    pub(crate) json: Value,
    pub(crate) text: String,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let test = TestApp::with_calls().await;
        let serving = Arc::new(Serving::start(Arc::clone(&test.app)));
        let router = router(ApiState { app: Arc::clone(&test.app), serving });
        Self { test, router }
    }

    /// The same storage under a new application, as after a restart of the process.
    pub(crate) async fn restart(&mut self) {
        self.test.restart().await;
        let serving = Arc::new(Serving::start(Arc::clone(&self.test.app)));
        self.router = router(ApiState { app: Arc::clone(&self.test.app), serving });
    }

    pub(crate) async fn token(&self, role: Role) -> String {
        let admin = App::system_actor();
        self.test.app.issue_token(&admin, &actor(role.as_str(), role).name, role).await.unwrap().token
    }

    /// The whole response to a request.
    pub(crate) async fn raw(&self, request: Request<Body>) -> axum::response::Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: impl Into<Body>,
    ) -> Reply {
        self.send_as(method, path, token, "application/json", body).await
    }

    pub(crate) async fn send_as(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        content_type: &str,
        body: impl Into<Body>,
    ) -> Reply {
        let mut request =
            Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, content_type);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let status = response.status();
        let content_type =
            response.headers().get(header::CONTENT_TYPE).map_or("", |v| v.to_str().unwrap()).to_owned();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Reply { status, content_type, json: serde_json::from_slice(&bytes).unwrap_or_default(), text }
    }
}
