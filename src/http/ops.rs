//! `GET /metrics` and `/readyz`: the state of the daemon, for monitoring.

use http::header::ACCEPT;
use http::{Response, StatusCode};
use tokio::runtime::Handle;

use crate::exposition::Exposition;
use crate::http::Service;
use crate::http::client_addr::Head;
use crate::http::denied::Answered;
use crate::http::reply::{self, ReplyBody};
use dynowarden_core::limits;

impl Service {
    pub(super) async fn show_metrics(&self, head: &Head) -> Answered {
        self.require_admin(head)?;
        let accept = head.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let exposition = Exposition::accepted_by(accept);
        self.metrics.store(&self.store.health());
        self.metrics.ready(self.readiness.trouble().is_none());
        self.metrics.tasks(Handle::current().metrics().num_alive_tasks());
        // A driver that is busy or gone must not hide the figures that say so.
        let asked = tokio::time::timeout(limits::METRICS_STATUS_WAIT, self.handle.status()).await;
        let status = asked.ok().and_then(Result::ok).unwrap_or_default();
        let page = self.metrics.render_with(&status, exposition, &self.drains, self.clock.now());
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
