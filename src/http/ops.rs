//! `GET /metrics`, `/healthz` and `/readyz`: routes for operations.

use http::header::ACCEPT;
use http::{Response, StatusCode};
use tokio::runtime::Handle;

use crate::exposition::Exposition;
use crate::http::Service;
use crate::http::client_addr::Head;
use crate::http::reply::{self, ReplyBody};

impl Service {
    pub(super) fn show_metrics(&self, head: &Head) -> Response<ReplyBody> {
        if let Err(denied) = self.let_admin_in(head) {
            return self.deny(denied);
        }
        let accept = head.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let exposition = Exposition::accepted_by(accept);
        self.metrics.store(&self.store.health());
        self.metrics.ready(self.readiness.trouble().is_none());
        self.metrics.tasks(Handle::current().metrics().num_alive_tasks());
        let page = self.metrics.render(exposition, self.clock.now());
        reply::private(reply::typed(StatusCode::OK, exposition.content_type(), page.into()))
    }

    pub(super) fn show_readiness(&self) -> Response<ReplyBody> {
        match self.readiness.trouble() {
            None => {
                let remarks = self.readiness.remarks().map(|remarks| format!("; {remarks}"));
                reply::text(StatusCode::OK, format!("ready{}\n", remarks.unwrap_or_default()))
            }
            Some(trouble) => reply::text(StatusCode::SERVICE_UNAVAILABLE, format!("{trouble}\n")),
        }
    }
}
