//! The audit: what admins and hooks did, as a log line, a row and a notice.

use crate::http::Service;
use crate::http::auth;
use crate::http::client_addr::Head;
use dynowarden_core::ident::{AppId, DynoName};
use dynowarden_core::record::admin::{Act, AdminAct, Client, Door};
use dynowarden_core::record::{Action, Decision, Notice, NoticeKind, Record, Scope};

impl Service {
    pub(super) fn client(&self, head: &Head, through: Door) -> Client {
        let user = auth::user(&head.headers);
        Client::new(user.as_deref(), self.proxies.client_addr(head).to_string(), through)
    }

    /// Records an act on one app or on all.
    pub(super) async fn audit(&self, by: Client, app: Option<AppId>, what: Act) {
        let (at, scope) = (self.clock.now().wall, app.map_or(Scope::Account, Scope::App));
        let dyno = match &what {
            Act::Restart { dyno, .. } => dyno.clone(),
            Act::Pause { .. } | Act::Resume => None,
        };
        let what = NoticeKind::Admin(AdminAct { by, what });
        // At shutdown the driver takes no more records; the act itself was rejected or is stored.
        let _stopped = self.handle.publish(Record::Notice(Notice { at, scope, dyno, what })).await;
    }

    /// Records the request of a restart, and what came of it so far.
    pub(super) async fn audit_restart(
        &self,
        by: Client,
        app: AppId,
        dyno: Option<DynoName>,
        decisions: Option<&[Decision]>,
    ) {
        let result = decisions.map_or_else(|| "not decided yet".to_owned(), decided);
        self.audit(by, Some(app), Act::Restart { dyno, result }).await;
    }
}

/// The decisions in a few words.
fn decided(decisions: &[Decision]) -> String {
    match decisions {
        [] => "no dyno to restart".to_owned(),
        [decision] => match &decision.action {
            Action::Hold(_) => format!("not restarted, {}", decision.reason_label()),
            Action::Notify | Action::Restart { .. } => "accepted".to_owned(),
        },
        many => {
            let held = many.iter().filter(|decision| matches!(decision.action, Action::Hold(_))).count();
            format!("{} accepted, {held} not restarted", many.len() - held)
        }
    }
}
