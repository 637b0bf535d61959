//! End to end: what counts as the API's word, and as the app's own log.

use heroku_sim::fault::{Fault, FaultRule};
use heroku_sim::status_page::Light;
use http::Method;

use support::daemon::Daemon;
use support::fixtures::{acme, await_restart, drain_to, dyno, heroku};

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_proxy_is_not_the_apis_word() {
    for status in [302, 403, 404, 407, 429] {
        let heroku = heroku(2).await;
        let daemon = Daemon::start(&heroku.api_url(), &[]);
        drain_to(&heroku, &daemon.url, &acme());
        let page = || Fault::Gateway { status, passes_on: None };
        heroku.add_fault(FaultRule::once(Method::GET, "/dynos/web.1", page()));
        heroku.emit_r14(&acme(), &dyno("web.1"));
        let held = daemon.await_decision("web.1", "hold", "garbled");
        let reason = held["reason"].as_str().expect("text");
        assert!(reason.contains("is HEROKU_API_URL right? is there a proxy?"), "{reason}");
        assert!(heroku.deletes().is_empty(), "{status}");
        heroku.emit_r14(&acme(), &dyno("web.1"));
        await_restart(&heroku, "web.1").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_one_dyno_of_three_is_not_believed() {
    for items in [0, 1] {
        let heroku = heroku(3).await;
        let daemon = Daemon::start(&heroku.api_url(), &[]);
        drain_to(&heroku, &daemon.url, &acme());
        heroku.add_fault(FaultRule::always(Method::GET, "/dynos", Fault::Partial(items)));
        heroku.emit_r14(&acme(), &dyno("web.1"));
        daemon.await_decision("web.1", "hold", "garbled");
        assert!(heroku.deletes().is_empty(), "{items}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_red_status_page_holds_restarts() {
    let heroku = heroku(1).await;
    heroku.with(|platform, _| platform.apps_light = Light::Red);
    let page = format!("{}/api/v4/current-status", heroku.api_url());
    let daemon = Daemon::start(&heroku.api_url(), &[("DYNOWARDEN_HEROKU__STATUS_URL", &page)]);
    drain_to(&heroku, &daemon.url, &acme());
    daemon.await_line(|line| line["message"].as_str().is_some_and(|text| text.contains("shows red: Apps")));
    heroku.emit_r14(&acme(), &dyno("web.1"));
    daemon.await_decision("web.1", "hold", "platform_red");
    assert!(heroku.deletes().is_empty());
}
