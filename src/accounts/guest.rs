//! The guest account of config.toml, which needs no credential.

use anyhow::bail;

use super::homes::Disks;
use super::options::GuestOptions;
use super::sql::AccountChange;
use super::{AccountSettings, Accounts, Allowance, NewAccount, UserName};

impl Accounts {
    /// Creates or changes the guest account as configured; closes it if none is configured.
    pub(super) async fn set_guest(
        &self,
        change: &mut AccountChange,
        disks: &mut Disks,
        guest: &GuestOptions,
    ) -> anyhow::Result<()> {
        let name: UserName = guest.name.parse()?;
        let Some(row) = change.account(name.as_str()).await? else {
            if !guest.enabled {
                return Ok(());
            }
            let wish = (&name, guest.home.as_deref());
            let home = self.declared_home(change, disks, wish, None).await?;
            let mut new = NewAccount::new(name);
            apply(guest, &mut new.settings);
            let added = self.insert(change, new, None, home).await?;
            return disks.want(added.home);
        };
        let now = row.home.clone();
        let found = self.account(row)?;
        if !found.settings.declared {
            if guest.enabled {
                bail!(
                    "guest.name is {name}, but a user {name} already exists: choose another name for the guest, or remove the user with: landfall user rm {name}"
                );
            }
            return Ok(());
        }
        let mut settings = found.settings.clone();
        apply(guest, &mut settings);
        if settings != found.settings {
            change.set_settings(name.as_str(), &settings).await?;
        }
        if let (true, Some(home)) = (guest.enabled, &guest.home) {
            let wish = (&name, Some(home.as_path()));
            let home = self.declared_home(change, disks, wish, Some(&now)).await?;
            if home != now {
                change.set_home(name.as_str(), home.as_deref()).await?;
                disks.want(self.inner.homes.absolute(&name, home))?;
            }
        }
        Ok(())
    }
}

/// Settings of the guest outside of the configuration stay.
fn apply(guest: &GuestOptions, settings: &mut AccountSettings) {
    settings.declared = true;
    let (bytes, files) = guest.quota;
    settings.allowance = Allowance { bytes, files };
    settings.rules.disabled = !guest.enabled;
    settings.rules.permissions = guest.permissions.clone();
    settings.rules.max_sessions = guest.max_sessions;
}
