//! Notices about the account, and messages about what admins did.

use crate::ident::{AppId, AppName};
use crate::incident::Incidents;
use crate::incident::kind::Kind;
use crate::incident::message::Message;
use crate::record::NoticeKind;
use crate::record::admin::{Act, AdminAct};

impl Incidents {
    /// A notice about the account concerns every app that this notifier reports on.
    pub(super) fn record_account_notice(&mut self, what: &NoticeKind) {
        if let NoticeKind::Admin(act) = what {
            return self.report_act(None, act);
        }
        let NoticeKind::Health(alert) = what else { return };
        for app in (0..self.plan.apps.len() as u32).map(AppId) {
            if self.is_reported(app) {
                self.record_alert(app, alert);
            }
        }
    }

    /// Reports a pause or its end, of one app or of all. A manual restart has messages of its own.
    pub(super) fn report_act(&mut self, app: Option<AppId>, act: &AdminAct) {
        if matches!(act.what, Act::Restart { .. }) || !self.plan.on.contains(&Kind::Pause) {
            return;
        }
        let name = app.map(|app| self.app_name(app));
        let subject = name.as_ref().map_or("all apps", AppName::as_str);
        let incident = self.incident_id(&subject.replace(' ', "-"));
        let what = if matches!(act.what, Act::Pause { .. }) { "paused" } else { "resumed" };
        let text = (format!("{subject}: restarts {what}"), vec![format!("{subject}: {act}.")]);
        let message = Message::single(incident, Kind::Pause, text, self.now.wall);
        self.messages.push(Message { apps: name.into_iter().collect(), ..message });
    }
}
