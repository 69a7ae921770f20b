//! The roles that every Supabase project has. The migrations take rights away from them.

use anyhow::{Context, bail};
use sqlx::{Connection, PgConnection};

/// Creates the roles that are missing. Source: Supabase documentation, "Postgres Roles".
const SUPABASE_ROLES: &str = "\
do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'anon') then
        create role anon nologin noinherit;
    end if;
    if not exists (select from pg_catalog.pg_roles where rolname = 'authenticated') then
        create role authenticated nologin noinherit;
    end if;
    if not exists (select from pg_catalog.pg_roles where rolname = 'service_role') then
        create role service_role nologin noinherit bypassrls;
    end if;
    if not exists (select from pg_catalog.pg_roles where rolname = 'authenticator') then
        create role authenticator login noinherit;
        grant anon, authenticated, service_role to authenticator;
    end if;
end
$$;
";

/// SQLSTATE `insufficient_privilege`.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// Creates Supabase's roles in the server of `url`; those that exist are left as they are.
///
/// # Errors
///
/// Fails when there is no connection, or when the URL's role may not create roles: the error then has the SQL that a
/// superuser can run instead.
pub async fn create_supabase_roles(url: &str) -> anyhow::Result<()> {
    let mut connection =
        PgConnection::connect(url).await.context("cannot connect to the database to create Supabase's roles")?;
    match sqlx::raw_sql(SUPABASE_ROLES).execute(&mut connection).await {
        Ok(_) => Ok(connection.close().await?),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(INSUFFICIENT_PRIVILEGE) => {
            bail!(
                "the role of DATABASE_URL may not create the roles that a Supabase project has ({error}). Run this \
                 as a superuser of that server, once:\n\n{SUPABASE_ROLES}"
            )
        }
        Err(error) => Err(error).context("cannot create Supabase's roles"),
    }
}
