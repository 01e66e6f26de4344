/* A caller of the C interface that a C compiler compiled. */
#ifndef HAYATE_TESTS_C_CALLER_H
#define HAYATE_TESTS_C_CALLER_H

#ifdef __cplusplus
extern "C" {
#endif

/* Loads a model of one float32 input and output, asks about its ports, compiles it for seven rows with the options that
   there are, runs it and frees everything. Null, or the condition that did not hold. */
const char* c_caller_walks(const char* model);

/* Rows of a model of one window of 50 rows come for the streams of a group, and are answered as by streams alone. Null,
   or the condition that did not hold. */
const char* c_caller_groups(const char* model);

/* Every function with null handles and every struct with a wrong size. Null, or the condition that did not hold. */
const char* c_caller_is_careless(void);

#ifdef __cplusplus
}
#endif
#endif
