//! The texts below the options in `--help`.

pub(super) const AFTER_HELP: &str = "\
A first run that changes nothing at Heroku:
  export HEROKU_API_KEY=$(heroku authorizations:create -s write --short)
  export HEROKU_APP=acme DRAIN_PASSWORD=$(openssl rand -hex 16)
  DYNOWARDEN_DRY_RUN=true dynowarden serve
Then send the app's logs to it over HTTPS:
  heroku drains:add https://drain:$DRAIN_PASSWORD@warden.example.com/logs/acme -a acme

Settings come from the environment, then the file, then defaults.
  HEROKU_API_KEY    token with scope write                              needed by serve
  HEROKU_APP        app or apps to watch, comma-separated               needed by serve
  DRAIN_PASSWORD    the password in the drain's URL                     needed by serve
  ADMIN_PASSWORD    opens the status page, the JSON API and /metrics    unset: they answer 404
  HOOK_KEY          opens POST /hooks/restart/{app}                     unset: it answers 404
  DATABASE_URL      sqlite://FILE, postgres://... or memory             [sqlite://dynowarden.db]
  PORT              port to listen on                                   [8080]
  HEROKU_API_URL    the Platform API                                    [https://api.heroku.com]
  LOG_FORMAT        text or json; RUST_LOG filters                      [text on a terminal]
  SLACK_URL         sends messages to a Slack channel; also TEAMS_URL, DISCORD_URL, PAGERDUTY_KEY
  DYNOWARDEN_SECTION__KEY    any key of the file, for example DYNOWARDEN_POLICY__COOLDOWN=15m
Secrets can be in files instead: heroku.api_key_file, drain.password_file and so on.
DRAIN_PASSWORD_OLD is also accepted, so a password can be rotated without losing logs.
dynowarden.example.toml lists every key with its default.

Exit codes: 0 done, 1 failed while running, 2 wrong usage or settings.";

pub(super) const SERVE_HELP: &str = "\
Needs HEROKU_API_KEY, DRAIN_PASSWORD and an app (HEROKU_APP, or [[app]] in the file).
`dynowarden --help` lists all variables.

Examples:
  HEROKU_APP=acme dynowarden serve
  DYNOWARDEN_DRY_RUN=true dynowarden serve --config /etc/dynowarden.toml

On SIGTERM or Ctrl-C, it finishes the requests in flight and exits with 0.
Exit codes: 0 stopped by a signal, 1 failed while running, 2 wrong usage or settings.";

pub(super) const DEMO_HELP: &str = "\
Needs no settings and no account; both ports are on 127.0.0.1 only.
The official CLI works against the simulated Heroku:
  HEROKU_HOST=http://127.0.0.1:8081 HEROKU_API_KEY=any heroku ps -a acme-shop

Examples:
  dynowarden demo
  dynowarden demo --speed 20 --for 60s

Exit codes: 0 done, 1 failed while running, 2 wrong usage.";

pub(super) const REPLAY_HELP: &str = "\
Reads raw logplex bodies, `heroku logs` output, text of Papertrail, SolarWinds and syslog daemons,
and JSON or CSV exports, and detects the format line by line. Newest-first files are read in order
of time. It takes the time from the lines, needs no token and makes no API calls.

Examples:
  heroku logs -n 1500 -a acme | dynowarden replay --app acme -
  dynowarden replay --format json archive-*.log.gz
  dynowarden replay --zone Europe/Berlin --set policy.cooldown=30m papertrail.txt
  dynowarden replay --what-if --app acme archive-*.log.gz

--what-if needs 3 days of logs and 4 lives of dynos. It estimates what Heroku alone and up to 23
policies would have done, recommends one, and ends with its settings as TOML.

JSON output is one object per line. Every decision has at, app, dyno, rule, decision (restart,
hold or notify) and reason. With --what-if, every policy has policy, restarts_per_week,
minutes_over_quota_per_day, requests_hit_per_100k (each with value, low and high) and recommended.
Exit codes: 0 done, 1 a file could not be read or has too little for --what-if, 2 wrong usage or
settings.";

pub(super) const CHECK_HELP: &str = "\
Changes nothing, unless --register or --notify is given.

Examples:
  dynowarden check
  dynowarden check --quiet
  dynowarden check --register https://warden.example.com

Exit codes: 0 all is well, 1 something is wrong, 2 wrong usage or settings.";

pub(super) const REPORT_HELP: &str = "\
Reads the store of a daemon, or archived logs, with the log's own time as the clock.
With HEROKU_API_KEY, it asks the Platform API for the sizes of dynos; it changes nothing.

Examples:
  dynowarden report --app acme
  dynowarden report --format json archive-*.log.gz

JSON output is one object per app and process type.
Exit codes: 0 done, 1 the store or a file could not be read, 2 wrong usage or settings.";

pub(super) const HISTORY_HELP: &str = "\
Examples:
  dynowarden history --app acme --limit 20
  dynowarden history --since 1d
  dynowarden history --follow
  DATABASE_URL=postgres://... dynowarden history --format json

Exit codes: 0 done, 1 the database could not be read, 2 wrong usage or settings.";

pub(super) const CONFIG_HELP: &str = "\
Needs no network and no token, so it can check the settings before a deployment.

Examples:
  dynowarden config
  dynowarden config --config dynowarden.toml

Exit codes: 0 the settings are valid, 2 wrong usage or settings.";

pub(super) const COMPLETIONS_HELP: &str = "\
Examples:
  dynowarden completions bash > /etc/bash_completion.d/dynowarden
  dynowarden completions zsh > \"${fpath[1]}/_dynowarden\"
  dynowarden completions fish > ~/.config/fish/completions/dynowarden.fish

Exit codes: 0 done, 1 the output could not be written, 2 wrong usage.";

pub(super) const HEALTHCHECK_HELP: &str = "\
Reads the same settings as the daemon, for the address and the port. For images without a shell:
  HEALTHCHECK CMD [\"dynowarden\", \"healthcheck\"]

Exit codes: 0 /healthz answers 200, 1 it does not, 2 wrong usage or settings.";
