"""Accounts of the people who use the site, and tokens of the programs.

As soon as there is an account, every page needs a sign-in. A viewer looks, an operator
commands chargers, an admin also manages accounts, keys and settings. Of passwords and
tokens only hashes are kept, in `work/accounts.sqlite`.
"""

from __future__ import annotations

from gway.projects.web.auth.accounts import IDLE, LONGEST
from gway.projects.web.auth.admin import (
    view_post_create_token,
    view_post_create_user,
    view_post_delete_user,
    view_post_revoke_token,
    view_post_set_password,
    view_post_set_role,
    view_post_sign_out_user,
    view_token,
    view_tokens,
    view_user,
    view_users,
)
from gway.projects.web.auth.pages import (
    view_account,
    view_index,
    view_login,
    view_post_end_others,
    view_post_end_session,
    view_post_login,
    view_post_logout,
    view_post_password,
)
from gway.projects.web.auth.verbs import (
    config_basic,
    create_user,
    delete,
    list,
    passwd,
    revoke_token,
    role,
    sessions,
    sign_out,
    token,
    tokens,
)
from gway.web.auth import TRUSTED_PROXIES

__all__ = [
    "config_basic",
    "create_user",
    "delete",
    "list",
    "passwd",
    "revoke_token",
    "role",
    "sessions",
    "sign_out",
    "token",
    "tokens",
    "view_account",
    "view_index",
    "view_login",
    "view_post_create_token",
    "view_post_create_user",
    "view_post_delete_user",
    "view_post_end_others",
    "view_post_end_session",
    "view_post_login",
    "view_post_logout",
    "view_post_password",
    "view_post_revoke_token",
    "view_post_set_password",
    "view_post_set_role",
    "view_post_sign_out_user",
    "view_token",
    "view_tokens",
    "view_user",
    "view_users",
]

SETTINGS = (IDLE, LONGEST, TRUSTED_PROXIES)
# The bar has a place of its own for who is signed in.
NAV: dict[str, str] = {}
