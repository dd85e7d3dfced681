/* A traced child, for the checks of single step and of debug registers. See stress_step.c. */
#ifndef SHINANO_STRESS_TRACE_H
#define SHINANO_STRESS_TRACE_H

#include "stress.h"
#include <sys/types.h>
#include <sys/user.h>

/* In a string of assembler: enters the address of the next instruction into the table `name`, which begins at __start_name. */
#define MARK(name) "7777: .pushsection " #name ",\"a\"\n .quad 7777b\n .popsection\n"

/* Forks a child that stops, and then runs `run`; returns its number once it has stopped. The child ends with what `run` returns. */
pid_t trace_start(long (*run)(void));

/* Lets the child go on (PTRACE_CONT, PTRACE_SINGLESTEP) with a signal or 0; returns the signal of its next stop, or -1 - status at its end. */
int trace_go(pid_t child, int request, int signal);

struct user_regs_struct trace_registers(pid_t child);
int trace_code(pid_t child); /* si_code of the stop */
uint64_t trace_debug(pid_t child, int number);

/* Sets a debug register; 0 or an errno. */
int trace_set_debug(pid_t child, int number, uint64_t value);

/* The child has to end now, with this status. */
void trace_end(pid_t child, int status);

/* Steps until the child is at an address. */
void trace_step_to(pid_t child, uint64_t address, int limit);

#endif
