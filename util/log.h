/* Diagnostics for operators: to standard error, a file or syslog, as the configuration says. Never secrets, PINs or
 * template values; no audit (that is audit/). Off by default in the module but for warnings and errors. Thread-safe. */
#ifndef CMK_UTIL_LOG_H
#define CMK_UTIL_LOG_H

#include "util/error.h"

typedef enum cmk_log_level { CMK_LOG_NONE, CMK_LOG_ERROR, CMK_LOG_WARN, CMK_LOG_INFO, CMK_LOG_DEBUG } cmk_log_level;

/* Where to and how much. target: "stderr", "syslog", "none" or the absolute path of a file that is appended to (made
 * 0600). CMK_E_CONFIG, CMK_E_IO. */
CMK_MUST_USE cmk_rc cmk_log_setup(const char *target, cmk_log_level level);
/* Writes one line "cmk11[pid]: level: text" if level is on. Control characters are escaped. */
void cmk_log(cmk_log_level level, const char *fmt, ...) CMK_PRINTF(2, 3);
/* As cmk_log(), but at most once a process for each call site's key (a static string). */
void cmk_log_once(cmk_log_level level, const char *key, const char *fmt, ...) CMK_PRINTF(3, 4);

#endif
