//! Every bound in one place, with its unit and its reason.

use std::time::Duration;

/// Bytes of any name. The Platform API's longest, a process type, is `^[-\w]{1,128}$`.
pub const NAME_BYTES_MAX: usize = 128;

/// Bytes of a dyno instance's id. The platform's are UUIDs of 36; this fills 64 with its length.
pub const INSTANCE_ID_BYTES_MAX: usize = 63;

/// Characters of an outsider's text that a message quotes back.
pub const QUOTED_CHARS_MAX: usize = 64;

// === Wire ===

/// Octets of one frame's line. Logplex caps a line at 10,240 with its header and splits dyno output at
/// 10,000; six times that leaves room for what production may do differently.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

/// Digits of a frame's count: as many as `FRAME_BYTES_MAX` has. A longer number cannot be a count that
/// we would follow, so it ends the batch before any arithmetic is done with it.
pub const COUNT_DIGITS_MAX: usize = 5;

const _: () = assert!(FRAME_BYTES_MAX < 10usize.pow(COUNT_DIGITS_MAX as u32));

// === Ingest ===

/// How long a frame id is remembered per drain. Logplex retries at once, three times at most; fifteen
/// minutes also cover a retry that a proxy held back.
pub const FRAME_ID_MEMORY: Duration = Duration::from_secs(15 * 60);

/// Frame ids remembered per drain, oldest out. A batch a second for fifteen minutes is 900.
pub const FRAME_IDS_PER_DRAIN_MAX: usize = 4096;

/// Batches with something in them that wait for the engine. It takes microseconds for each, so a full
/// queue means that the engine stands still, and logplex is asked to try again.
pub const QUEUED_BATCHES_MAX: usize = 1024;

/// Longer than the 90 s for which Heroku's router keeps an idle connection to us, so that it is always
/// the router that closes (H13 and H18 otherwise), and than the 144 s + 15 s of logplex itself.
pub const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(180);

const _: () = assert!(KEEP_ALIVE_IDLE.as_secs() > 159);

/// Drains whose frame ids are remembered, longest quiet one out: 200 apps with the five drains that an
/// app may have.
pub const FRAME_ID_DRAINS_MAX: usize = 1024;

/// What a refused batch's sender is told to wait. Logplex itself tries again at once.
pub const RETRY_AFTER: Duration = Duration::from_secs(2);

// === Front door ===

/// Bytes of a request's head. Logplex sends about 400 and Heroku's router adds as many again.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Header lines of a request. Behind Heroku's router there are about 20.
pub const HEADERS_MAX: usize = 64;

/// From the first byte of a request (of a new connection: from its start) to the end of its head. A
/// half-open request is gone well within 30 s.
pub const HEAD_READ: Duration = Duration::from_secs(15);

/// From the end of a head to the end of its body. Logplex gives up after 5 s.
pub const BODY_READ: Duration = Duration::from_secs(10);

/// For how long one write may stand still because the peer reads nothing.
pub const WRITE_STALL: Duration = Duration::from_secs(20);

/// For how long what a refused peer still sends is thrown away, so that it can read the refusal: an
/// outright close would reset the connection and take the answer with it.
pub const LINGER: Duration = Duration::from_secs(2);

/// For how long requests in flight are waited for at shutdown; a platform kills after 30 s.
pub const HTTP_GRACE: Duration = Duration::from_secs(8);

/// Bytes of the body of a hook or an admin request.
pub const ADMIN_BODY_BYTES_MAX: usize = 16 * 1024;

/// For how long a hook waits for its decisions; Heroku's router gives up after 30 s.
pub const ORDER_WAIT: Duration = Duration::from_secs(25);

/// The longest pause that a person may ask for.
pub const PAUSE_MAX: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Characters of a person's reason for a pause.
pub const PAUSE_REASON_CHARS_MAX: usize = 256;

/// Pause between two tries to accept a connection when the system refuses (no descriptors left), from
/// the first to the longest.
pub const ACCEPT_BACKOFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

const _: () = assert!(HEAD_READ.as_secs() + BODY_READ.as_secs() < 30);
const _: () = assert!(HEAD_BYTES_MAX >= 8192, "hyper takes no smaller buffer");

// === Engine ===

/// An error older than this, by the time in its line, is history: a backlog after an outage, not a dyno
/// in trouble now. R14 repeats about every 21 s, so a living trouble is never older than this.
pub const ERROR_AGE_MAX: Duration = Duration::from_secs(5 * 60);

/// How far ahead of our clock a line's time may be before the two clocks are said to disagree.
pub const CLOCK_LEAD_MAX: Duration = Duration::from_secs(2 * 60);

/// Dynos of one formation that may wait for their turn.
pub const QUEUED_PER_FORMATION_MAX: usize = 256;

/// Dynos that the engine keeps state for, over all apps; past it the longest quiet one is forgotten.
pub const DYNOS_MAX: usize = 200_000;

/// Tries of one look at the API before the attempt is given up; a fresh error arrives in 21 s anyway.
pub const LOOKS_MAX: u32 = 3;

/// DELETEs of one attempt, first try included.
pub const DELETES_MAX: u32 = 3;

/// After a DELETE without an answer, how long the old instance must still be seen before it is asked
/// again: the first request may only be late, and then its restart shows within these seconds.
pub const LOST_ANSWER_WAIT: Duration = Duration::from_secs(5);

/// The account's API tokens when its bucket is full, and how many come back a minute (heroku.md §5).
pub const API_TOKENS_MAX: u32 = 4500;
/// See [`API_TOKENS_MAX`].
pub const API_TOKENS_PER_MINUTE: u32 = 75;

/// Tokens left to the account's other users: a fifth.
pub const API_TOKENS_RESERVE: u32 = API_TOKENS_MAX / 5;

/// Where the API says 429 and gives no time: ten seconds bring a dozen calls back, a restart needs three.
/// It doubles with every further 429.
pub const THROTTLE_WAIT: Duration = Duration::from_secs(10);

/// The longest wait that a 429 can ask for.
pub const THROTTLE_WAIT_MAX: Duration = Duration::from_secs(5 * 60);

/// Between two looks of an attempt that waits for something outside; the first wait is the shortest.
pub const WAIT_MIN: Duration = Duration::from_secs(5);
/// See [`WAIT_MIN`].
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// Between two looks for a dyno that is being restarted; the first comes soonest.
pub const PEEK_MIN: Duration = Duration::from_secs(1);
/// See [`PEEK_MIN`].
pub const PEEK_MAX: Duration = Duration::from_secs(5);

/// Between two looks for a dyno that did not come back in time.
pub const FAILED_PEEK_EVERY: Duration = Duration::from_secs(30);

/// How long a person's order waits for its turn before it is dropped.
pub const ORDER_PATIENCE: Duration = Duration::from_secs(60 * 60);

/// How often an erring dyno that was given up is looked at for a new release that no line announced.
pub const GIVEN_UP_LOOK_EVERY: Duration = Duration::from_secs(10 * 60);

/// An error this soon after a restart says that restarting does not help.
pub const NO_HELP_WITHIN: Duration = Duration::from_secs(15 * 60);

/// How far a memory reading may lie from the error that it is evidence for: three samples.
pub const EVIDENCE_AGE_MAX: Duration = Duration::from_secs(60);

/// Orders of persons that may be waiting for their first look.
pub const OPEN_ORDERS_MAX: usize = 64;

// === Settings ===

/// Bytes of the settings file, and of a file that a setting names. A large one has a few kilobytes.
pub const SETTINGS_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Bytes of a password or a token. They travel in one header, which hyper and most proxies hold to 8 KiB.
pub const SECRET_BYTES_MAX: usize = 1024;

/// Watched apps. Two hundred are a normal day; each costs one start-up call, of 4,500 in the bucket.
pub const APPS_MAX: usize = 1000;

/// Rules of one app. Each is asked about each event of its app.
pub const RULES_MAX: usize = 64;

/// Characters of a rule's name, which stands in every record and in metric labels.
pub const RULE_NAME_CHARS_MAX: usize = 64;

/// Times within which a rule may count errors, and restarts that a rate may allow.
pub const COUNT_MAX: u32 = 1000;

/// Dynos of one process type that may be out at once; more than a formation can have.
pub const CONCURRENT_MAX: u32 = 1000;

/// Cool-down, `give_up_for` and the span of `max_restarts`: what the store is asked for at a start.
pub const POLICY_SPAN_MAX: Duration = Duration::from_secs(30 * 86_400);

/// `settle` and `boot_timeout`: for so long a formation can stand still behind one dyno.
pub const BOOT_SPAN_MAX: Duration = Duration::from_secs(3600);

/// `min_uptime`, `within` and `for`: the platform replaces each dyno about once a day, so nothing about one
/// instance can take longer.
pub const INSTANCE_SPAN_MAX: Duration = Duration::from_secs(86_400);

/// The shortest span in which something may be counted or waited for: anything but none.
pub const SPAN_MIN: Duration = Duration::from_millis(1);

/// `heroku.request_timeout`: below it no call across the internet ends; above it the caller is asleep.
pub const REQUEST_TIMEOUT_MIN: Duration = Duration::from_millis(100);
/// See [`REQUEST_TIMEOUT_MIN`].
pub const REQUEST_TIMEOUT_MAX: Duration = Duration::from_secs(300);

/// `drain.max_body`: a batch is about 100 KiB, one line at least 10 KiB.
pub const BODY_BYTES_LEAST: u64 = 1024;
/// See [`BODY_BYTES_LEAST`]; as many bytes may be held for each connection.
pub const BODY_BYTES_MOST: u64 = 256 * 1024 * 1024;
/// Logplex drops a batch that is refused as too large, so a bound below this costs lines (heroku.md §8.9).
pub const BODY_BYTES_SAFE: u64 = 1024 * 1024;

/// `drain.max_connections`: as many file descriptors as a process can expect to be given.
pub const CONNECTIONS_MAX: u64 = 65_536;

/// `store.keep`: less would forget this morning's restarts before anybody asks.
pub const KEEP_MIN: Duration = Duration::from_secs(3600);
/// Ten years.
pub const KEEP_MAX: Duration = Duration::from_secs(3650 * 86_400);

// === Commands ===

/// Rows that `history` prints at most.
pub const HISTORY_ROWS_MAX: u32 = 100_000;

/// How slow and how fast the demo may run. Twenty-one seconds between two R14 lines are twenty
/// milliseconds at the fastest; below that HTTP itself is what one would see.
pub const DEMO_SPEEDS: (f64, f64) = (0.1, 1000.0);

// === Simulated Heroku ===

/// Calls and posts that the simulated Heroku remembers for tests to look at, oldest out: some megabytes.
pub const SIM_RECORDS_MAX: usize = 100_000;

/// Bytes of the bodies among those posts, oldest out.
pub const SIM_POSTED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of a request body that the simulated Platform API reads; the largest real one is a URL.
pub const SIM_BODY_BYTES_MAX: usize = 64 * 1024;

/// Lines that a subscriber of the simulated Heroku may be behind before it misses some.
pub const SIM_LINES_BEHIND_MAX: usize = 4096;

// === Driver ===

/// Answers of the API and of the store that wait for the engine. A task that has one waits when it is full.
pub const QUEUED_ANSWERS_MAX: usize = 1024;

/// How long a shutdown waits for calls that were made; the platform kills after 30 s, and a call takes
/// at most `heroku.request_timeout`, 10 s unless set.
pub const LAST_ANSWERS_WAIT: Duration = Duration::from_secs(11);

const _: () = assert!(HTTP_GRACE.as_secs() + LAST_ANSWERS_WAIT.as_secs() < 20);

// === Hands ===

/// Bytes of one answer of the Platform API. A page holds at most 1,000 dynos of about 700 bytes.
pub const API_BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Pages of one list: 200 entries each unless the API says otherwise.
pub const API_PAGES_MAX: usize = 16;

/// The connect part of `heroku.request_timeout`, where that is longer.
pub const API_CONNECT: Duration = Duration::from_secs(5);

/// The longest wait that a 429 can impose.
pub const API_WAIT_MAX: Duration = Duration::from_secs(60 * 60);

/// Records that a listener may be behind before it misses the oldest.
pub const RECORDS_BEHIND_MAX: usize = 1024;
/// Bytes of one text line of an archive: as much as a frame may hold.
pub const ARCHIVE_LINE_BYTES_MAX: usize = FRAME_BYTES_MAX;

/// Apps in one replay. Each has an engine of its own; an archive of more is one whose system names are
/// not names of apps.
pub const REPLAY_APPS_MAX: usize = 256;

/// Deadlines that a replay follows between two lines. A dyno that never comes back is looked for every
/// 30 s, so this covers a silence of weeks; a longer one is jumped over.
pub const REPLAY_WAKES_MAX: u32 = 50_000;

/// How long a replay goes on behind the last line, for dynos that are waiting for their turn.
pub const REPLAY_TAIL: Duration = Duration::from_secs(60 * 60);

/// Dynos whose repeated refusals a replay counts at a time; past it all of them are printed.
pub const REPLAY_FOLDS_MAX: usize = 4096;

/// Bytes of an archive that are read at a time.
pub const REPLAY_CHUNK_BYTES: usize = 64 * 1024;

/// Bytes from which on a file is large enough to be waited for, and gets a progress bar.
pub const REPLAY_PROGRESS_BYTES_MIN: u64 = 8 * 1024 * 1024;

// === Page ===

/// Points of one dyno's chart: a minute each, three hours.
pub const TRACE_POINTS_MAX: usize = 180;

/// Restarts marked on one dyno's chart. `max_restarts` is 3 in 2 h unless set.
pub const TRACE_MARKS_MAX: usize = 32;

/// Dynos that have a chart. At 360 bytes of points each, all of them take about 10 MB.
pub const TRACES_MAX: usize = 20_000;

/// Dynos of one app that the overview shows; the healthy ones past it stand behind a count.
pub const DYNOS_SHOWN_MAX: usize = 50;

/// Dynos on one page of an app.
pub const DYNOS_PER_PAGE: usize = 100;

/// Dynos that the overview shows at most with the healthy ones among them; past it only the others.
pub const ROWS_SHOWN_MAX: usize = 200;

/// Apps whose dynos the overview shows; the others stand in a line each.
pub const APPS_SHOWN_MAX: usize = 20;

/// Things that need attention in the overview's list.
pub const ATTENTION_SHOWN_MAX: usize = 40;

/// Decisions on the overview, and on one page of decisions.
pub const DECISIONS_SHOWN: usize = 25;

/// Decisions on one page of them.
pub const DECISIONS_PER_PAGE: usize = 100;

/// Decisions that are kept in memory for the page, oldest out; about 1 KB each.
pub const DECISIONS_KEPT_MAX: usize = 1000;

/// Decisions that `GET /api/v1/decisions` answers with when it is not told how many, and at most.
pub const DECISIONS_ANSWERED: (usize, usize) = (100, 1000);

/// Open event streams. Each takes a connection and some 20 KB; a wall display and a dozen people take 13.
pub const STREAMS_MAX: usize = 256;

/// Events that a stream may be behind before it is ended and told to come again.
pub const STREAM_BACKLOG_MAX: usize = 256;

/// Events that are kept for a reader that comes again with `Last-Event-ID`.
pub const EVENTS_KEPT_MAX: usize = 256;

/// Between two comments on a quiet stream. Heroku's router ends a connection on which nothing moved for
/// 55 s.
pub const STREAM_BEAT: Duration = Duration::from_secs(15);

/// Between two looks at the state of all dynos while somebody watches.
pub const STATUS_EVERY: Duration = Duration::from_secs(1);

/// Between a change and the look at it, so that changes that come together are shown together.
pub const STATUS_SOON: Duration = Duration::from_millis(100);

/// A drain that has said nothing for so long is shown as quiet. Runtime metrics come every 20 s; an app
/// without them and without traffic may well be quiet for longer, so it is only shown.
pub const DRAIN_QUIET: Duration = Duration::from_secs(15 * 60);

/// For how long a form waits for its order to be judged before the browser is sent on to see for itself.
pub const FORM_WAIT: Duration = Duration::from_secs(3);
