//! The ids of the watched apps.

use sqlx::AnyConnection;

use crate::store::Store;
use crate::store::error::StoreAway;
use dynowarden_core::ident::AppName;
use dynowarden_core::limits;

impl Store {
    /// The known ids by the apps' names in the settings.
    ///
    /// # Errors
    /// The store is away.
    pub async fn app_ids(&self) -> Result<Vec<(AppName, AppName)>, StoreAway> {
        let shared = &self.shared;
        let rows = shared.within(limits::STORE_WAIT, async {
            let mut connection = shared.link.read.acquire().await?;
            sqlx::query_as::<_, (String, String)>(IDS).fetch_all(&mut *connection).await
        });
        let rows = rows.await?;
        Ok(rows.into_iter().filter_map(|(app, id)| Some((app.parse().ok()?, id.parse().ok()?))).collect())
    }

    /// Keeps the first id of an app, and returns the one that is kept.
    ///
    /// # Errors
    /// The store is away, and it is not known whether there is one.
    pub async fn keep_app_id(&self, app: &AppName, id: &AppName) -> Result<AppName, StoreAway> {
        let kept = self.shared.in_transaction(async |to| keep(app, id, to).await).await?;
        // A damaged row is not an id.
        Ok(kept.parse().unwrap_or_else(|_| id.clone()))
    }
}

async fn keep(app: &AppName, id: &AppName, to: &mut AnyConnection) -> Result<String, sqlx::Error> {
    sqlx::query(KEEP).bind(app.as_str()).bind(id.as_str()).execute(&mut *to).await?;
    sqlx::query_scalar("SELECT id FROM dynowarden_app_ids WHERE app = $1")
        .bind(app.as_str())
        .fetch_one(to)
        .await
}

const IDS: &str = "SELECT app, id FROM dynowarden_app_ids";

const KEEP: &str = "INSERT INTO dynowarden_app_ids (app, id) VALUES ($1, $2) ON CONFLICT (app) DO NOTHING";
