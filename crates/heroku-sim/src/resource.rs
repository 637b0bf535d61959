//! The bodies of the Platform API, with the fields of its schema (heroku.md §5).

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::app::{App, DrainResource, Formation, Generation, Release};
use crate::dyno::{Dyno, Size};
use crate::world::OWNER;

/// The API's times have no fraction.
pub fn time_text(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `GET /account`.
pub fn account() -> Value {
    json!({
        "allow_tracking": false,
        "beta": false,
        "country_of_residence": null,
        "created_at": "2020-01-01T00:00:00Z",
        "default_organization": null,
        "default_team": null,
        "delinquent_at": null,
        "email": OWNER,
        "federated": false,
        "id": OWNER_ID,
        "identity_provider": null,
        "last_login": null,
        "name": "Owner",
        "sms_number": null,
        "suspended_at": null,
        "two_factor_authentication": false,
        "updated_at": "2020-01-01T00:00:00Z",
        "verified": true,
    })
}

/// `GET /apps/{app}`.
pub fn app(app: &App) -> Value {
    let name = app.name().as_str();
    let generation = app.spec.generation;
    let stack = match generation {
        Generation::Cedar => json!({ "id": STACK_ID, "name": "heroku-24" }),
        Generation::Fir => json!({ "id": STACK_ID, "name": "cnb" }),
    };
    let space =
        app.spec.space.as_ref().map(|space| json!({ "id": SPACE_ID, "name": space, "shield": false }));
    json!({
        "acm": false,
        "archived_at": null,
        "build_stack": stack,
        "buildpack_provided_description": "Ruby",
        "create_status": "complete",
        "created_at": time_text(app.created_at),
        "generation": { "id": GENERATION_ID, "name": generation.word() },
        "git_url": format!("https://git.heroku.com/{name}.git"),
        "id": app.id,
        "internal_routing": null,
        "maintenance": app.maintenance,
        "name": name,
        "organization": null,
        "owner": { "email": OWNER, "id": OWNER_ID },
        "process_tier": "production",
        "region": { "id": REGION_ID, "name": "us" },
        "released_at": app.releases.last().map(|release| time_text(release.created_at)),
        "repo_size": 0,
        "slug_size": 0,
        "space": space,
        "stack": stack,
        "team": null,
        "updated_at": time_text(app.updated_at),
        "web_url": format!("https://{name}.herokuapp.com/"),
    })
}

/// `GET /apps/{app}/dynos/{dyno}`.
pub fn dyno(app: &App, dyno: &Dyno) -> Value {
    let release = app.releases.iter().find(|release| release.version == dyno.release);
    json!({
        "app": reference(app),
        "attach_url": dyno.attach_url,
        "command": dyno.command,
        "created_at": time_text(dyno.created_at),
        "id": dyno.id.as_str(),
        "name": dyno.name.to_string(),
        "release": { "id": release.map(|release| &release.id), "version": dyno.release },
        "size": dyno.size.name,
        "state": dyno.state.word(),
        "type": dyno.name.process_type().as_str(),
        "updated_at": time_text(dyno.updated_at),
    })
}

/// `GET /apps/{app}/formation/{type}`.
pub fn formation(app: &App, formation: &Formation) -> Value {
    json!({
        "app": reference(app),
        "command": formation.command,
        "created_at": time_text(app.created_at),
        // An id of its own would have to be stored, and no client uses it.
        "id": format!("{}-{}", app.id, formation.process_type),
        "dyno_size": { "id": size_id(formation.size), "name": formation.size.name },
        "quantity": formation.quantity,
        "size": formation.size.name,
        "type": formation.process_type.as_str(),
        "updated_at": time_text(app.updated_at),
    })
}

/// `GET /apps/{app}/log-drains/{drain}`.
pub fn drain(app: &App, drain: &DrainResource) -> Value {
    json!({
        "addon": null,
        "app": reference(app),
        "created_at": time_text(drain.created_at),
        "id": drain.id,
        "token": drain.token.as_str(),
        "updated_at": time_text(drain.created_at),
        "url": drain.url,
    })
}

/// `GET /dyno-sizes`.
pub fn size(size: &Size) -> Value {
    json!({
        "architecture": "amd64",
        "compute": 1,
        "cost": { "cents": size.cents, "unit": "month" },
        "dedicated": size.private,
        "dyno_units": 1,
        "generation": { "id": GENERATION_ID, "name": "cedar" },
        "id": size_id(size),
        "memory": f64::from(size.quota_mb) / 1024.0,
        "name": size.name,
        "private_space_only": size.private,
    })
}

/// `GET /apps/{app}/releases`.
pub fn release(app: &App, release: &Release) -> Value {
    json!({
        "addon_plan_names": [],
        "app": reference(app),
        "created_at": time_text(release.created_at),
        "current": release.version == app.version(),
        "description": release.description,
        "eligible_for_rollback": true,
        "id": release.id,
        "output_stream_url": null,
        "slug": null,
        "status": "succeeded",
        "updated_at": time_text(release.created_at),
        "user": { "email": OWNER, "id": OWNER_ID },
        "version": release.version,
    })
}

/// `GET /apps/{app}/features`: those that change what dynos do or log.
pub fn features(app: &App) -> Vec<Value> {
    [("log-runtime-metrics", app.spec.metrics), ("preboot", app.spec.preboot)]
        .into_iter()
        .map(|(name, enabled)| {
            json!({
                "created_at": time_text(app.created_at),
                "description": name,
                "display_name": name,
                "doc_url": format!("https://devcenter.heroku.com/articles/{name}"),
                "enabled": enabled,
                "feedback_email": null,
                "id": format!("{}-{name}", app.id),
                "name": name,
                "state": "general",
                "updated_at": time_text(app.updated_at),
            })
        })
        .collect()
}

/// `GET /apps/{app}/collaborators`.
pub fn collaborators(app: &App) -> Vec<Value> {
    vec![json!({
        "app": reference(app),
        "created_at": time_text(app.created_at),
        "id": format!("{}-owner", app.id),
        "permissions": [],
        "role": "owner",
        "updated_at": time_text(app.created_at),
        "user": { "email": OWNER, "federated": false, "id": OWNER_ID },
    })]
}

fn reference(app: &App) -> Value {
    json!({ "id": app.id, "name": app.name().as_str() })
}

fn size_id(size: &Size) -> String {
    format!("size-{}", size.name)
}

const OWNER_ID: &str = "0a0a0a0a-0000-4000-8000-000000000001";
const STACK_ID: &str = "0a0a0a0a-0000-4000-8000-000000000002";
const REGION_ID: &str = "0a0a0a0a-0000-4000-8000-000000000003";
const SPACE_ID: &str = "0a0a0a0a-0000-4000-8000-000000000004";
const GENERATION_ID: &str = "0a0a0a0a-0000-4000-8000-000000000005";
