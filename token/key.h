/* What the life cycle of keys shares: taking versions and keys out of a vault, and a key's record as cmk_key_info.
 * Private to token/. */
#ifndef CMK_TOKEN_KEY_H
#define CMK_TOKEN_KEY_H

#include "token/version.h"

/* Removes a version's records and index leaves. The key's record, which counts its versions, is the caller's to change.
 */
CMK_MUST_USE cmk_rc cmk_version_remove(cmk_view *view, const cmk_version_rec *rec);
/* Removes a key that has no versions any more: key keys, name, record. */
CMK_MUST_USE cmk_rc cmk_key_remove_empty(cmk_view *view, const cmk_key_rec *key);
CMK_MUST_USE cmk_rc cmk_key_fill_info(const cmk_key_rec *rec, cmk_key_info *out);

#endif
