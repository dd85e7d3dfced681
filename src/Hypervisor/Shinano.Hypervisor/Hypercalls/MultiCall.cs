using System.Runtime.InteropServices;
using Shinano.Cpu;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Hypercalls;

/// <summary>multicall: several hypercalls in one. Source: public/xen.h: struct multicall_entry {op, result, args[6]}.</summary>
public static unsafe class MultiCall
{
    /// <summary>Entries served before the vCPU looks at what else it has to do.</summary>
    private const int Batch = 64;

    private const int ResultOffset = 8;
    private const int ArgumentsOffset = 16;

    /// <summary>Encodings of RDI, RSI, RDX, R10, R8, R9.</summary>
    private static ReadOnlySpan<byte> ArgumentRegisters => [7, 6, 2, 10, 8, 9];

    /// <summary>Adds the handler to a domain.</summary>
    public static void Register(Domain domain) => domain.Hypercalls.Add(HypercallNumber.MultiCall, Serve);

    private static long Serve(PvVcpu vcpu, in HypercallArguments arguments)
    {
        ulong address = arguments.A1;
        uint count = (uint)arguments.A2;
        for (int i = 0; count != 0; i++, count--, address += (ulong)sizeof(Entry))
        {
            if (i == Batch || vcpu.Domain.Shutdown is not null)
            {
                vcpu.State->Gpr[7] = address;
                vcpu.State->Gpr[6] = count;
                return HypercallTable.Restart;
            }

            if (!vcpu.Guest.TryRead(address, out Entry entry))
            {
                return -Errno.Fault;
            }

            long result = CallOne(vcpu, ref entry);
            if (result == HypercallTable.Restart)
            {
                // Its progress goes where its arguments came from; the entry is served again.
                if (!vcpu.Guest.TryWrite(address + ArgumentsOffset, MemoryMarshal.AsBytes(new ReadOnlySpan<ulong>(entry.Arguments, 6))))
                {
                    return -Errno.Fault;
                }

                vcpu.State->Gpr[7] = address;
                vcpu.State->Gpr[6] = count;
                return HypercallTable.Restart;
            }

            if (!vcpu.Guest.TryWrite(address + ResultOffset, result))
            {
                return -Errno.Fault;
            }
        }

        return 0;
    }

    /// <summary>Calls with the arguments in their registers, where handlers keep progress, and puts the registers back.</summary>
    private static long CallOne(PvVcpu vcpu, ref Entry entry)
    {
        if (entry.Operation is (ulong)HypercallNumber.MultiCall or (ulong)HypercallNumber.Iret)
        {
            return -Errno.Invalid;
        }

        CpuState* state = vcpu.State;
        Span<ulong> saved = stackalloc ulong[6];
        for (int i = 0; i < saved.Length; i++)
        {
            ref ulong register = ref state->Gpr[ArgumentRegisters[i]];
            saved[i] = register;
            register = entry.Arguments[i];
        }

        HypercallArguments arguments = new(
            entry.Arguments[0], entry.Arguments[1], entry.Arguments[2], entry.Arguments[3], entry.Arguments[4], entry.Arguments[5]);
        long result = vcpu.Domain.Hypercalls.Call(vcpu, entry.Operation, in arguments);
        for (int i = 0; i < saved.Length; i++)
        {
            ref ulong register = ref state->Gpr[ArgumentRegisters[i]];
            entry.Arguments[i] = register;
            register = saved[i];
        }

        return result;
    }

    // SAFETY: the fixed buffer is six words of the structure itself, and every index above is below six.
    [StructLayout(LayoutKind.Sequential)]
    private struct Entry
    {
        public ulong Operation;
        public long Result;
        public fixed ulong Arguments[6];
    }
}
