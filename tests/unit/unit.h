/* What every CUnit program here shares: a table of tests, run one after the other, one line "PASS suite/test" or "FAIL
 * suite/test" each, which run-tests counts. */
#ifndef CMK_TESTS_UNIT_H
#define CMK_TESTS_UNIT_H

#include <CUnit/CUnit.h>
#include <CUnit/TestRun.h>
#include <stdio.h>
#include <string.h>

typedef struct unit_test {
    const char *name;
    void (*run)(void);
} unit_test;

#define UNIT_OK(expr) CU_ASSERT_EQUAL((expr), CMK_OK)
#define UNIT_RC(expr, rc) CU_ASSERT_EQUAL((expr), (rc))

static inline void unit_failures(const char *suite, CU_pTest test, CU_pFailureRecord f)
{
    for (; f; f = f->pNext)
        if (f->pTest == test)
            printf("  %s/%s: %s:%u: %s\n", suite, test->pName, f->strFileName ? f->strFileName : "?", f->uiLineNumber,
                   f->strCondition ? f->strCondition : "?");
}

/* Runs n tests (only those whose name is argv[1], if given); the exit status for main: 0 if all passed and at least one
 * ran. */
static inline int unit_main(const char *suite, const unit_test *tests, size_t n, int argc, char **argv)
{
    int failed = 0;
    int ran = 0;
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 99;
    CU_set_error_action(CUEA_IGNORE);
    CU_pSuite s = CU_add_suite(suite, NULL, NULL);
    for (size_t i = 0; i < n; i++) {
        if (argc > 1 && strcmp(argv[1], tests[i].name) != 0)
            continue;
        CU_pTest t = CU_add_test(s, tests[i].name, tests[i].run);
        CU_ErrorCode e = t ? CU_run_test(s, t) : CUE_NOTEST;
        int bad = e != CUE_SUCCESS || CU_get_number_of_failures() > 0;
        printf("%s %s/%s\n", bad ? "FAIL" : "PASS", suite, tests[i].name);
        if (bad && t)
            unit_failures(suite, t, CU_get_failure_list());
        fflush(stdout);
        failed += bad;
        ran++;
    }
    CU_cleanup_registry();
    return failed > 0 || ran == 0;
}
#define UNIT_MAIN(suite, table)                                                                                        \
    int main(int argc, char **argv)                                                                                    \
    {                                                                                                                  \
        return unit_main(suite, table, sizeof(table) / sizeof((table)[0]), argc, argv);                                \
    }

#endif
