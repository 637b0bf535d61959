//! `GET /metrics` and `/readyz`: the state of the daemon, for monitoring.

use http::header::ACCEPT;
use http::{Response, StatusCode};
use tokio::runtime::Handle;

use crate::exposition::Exposition;
use crate::http::Service;
use crate::http::client_addr::Head;
use crate::http::denied::Answered;
use crate::http::reply::{self, ReplyBody};

impl Service {
    pub(super) fn show_metrics(&self, head: &Head) -> Answered {
        self.require_admin(head)?;
        let accept = head.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let exposition = Exposition::accepted_by(accept);
        self.metrics.store(&self.store.health());
        self.metrics.ready(self.readiness.trouble().is_none());
        self.metrics.tasks(Handle::current().metrics().num_alive_tasks());
        let page = self.metrics.render(exposition, &self.drains, self.clock.now());
        Ok(reply::no_store(reply::typed(StatusCode::OK, exposition.content_type(), page.into())))
    }

    pub(super) fn show_readiness(&self) -> Response<ReplyBody> {
        match self.readiness.trouble() {
            None => {
                let warnings = self.readiness.remarks().map(|warnings| format!("; {warnings}"));
                reply::text(StatusCode::OK, format!("ready{}\n", warnings.unwrap_or_default()))
            }
            Some(trouble) => reply::text(StatusCode::SERVICE_UNAVAILABLE, format!("{trouble}\n")),
        }
    }
}
