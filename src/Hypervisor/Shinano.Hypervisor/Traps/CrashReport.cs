using System.Runtime.InteropServices;
using System.Text;
using Shinano.Cpu;

namespace Shinano.Hypervisor.Traps;

/// <summary>What Xen prints of a crashed vCPU: registers and the top of the stack. On the vCPU's own thread.</summary>
internal static unsafe class CrashReport
{
    private const int StackWords = 48;
    private const int WordsPerLine = 4;

    private static readonly string[] Names =
        ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];

    /// <summary>Writes the lines to the domain's log.</summary>
    public static void Write(PvVcpu vcpu)
    {
        CpuState* state = vcpu.State;
        HypervisorLog log = vcpu.Domain.Log;
        log.Write($"RIP: {state->Cs.Selector:x4}:{state->Rip:x16} RFLAGS: {state->Rflags:x8} ({(vcpu.InKernel ? "kernel" : "user")} mode)");
        for (int i = 0; i < Names.Length; i += WordsPerLine)
        {
            StringBuilder line = new();
            for (int j = i; j < i + WordsPerLine; j++)
            {
                line.Append($"{Names[j],-3} {state->Gpr[j]:x16}  ");
            }

            log.Write(line.ToString().TrimEnd());
        }

        log.Write($"cr2 {vcpu.Traps.GuestCr2:x16}  cr3 {state->Cr3:x16}  fsb {state->Fs.Base:x16}  gsb {state->Gs.Base:x16}");
        ulong* words = stackalloc ulong[StackWords];
        Span<ulong> stack = new(words, StackWords);
        int count = 0;
        while (count < StackWords && vcpu.Guest.TryRead(state->Gpr[4] + ((ulong)count * 8), MemoryMarshal.AsBytes(stack.Slice(count, 1))))
        {
            count++;
        }

        for (int i = 0; i < count; i += WordsPerLine)
        {
            log.Write("stack: " + string.Join(' ', stack[i..Math.Min(count, i + WordsPerLine)].ToArray().Select(w => w.ToString("x16", null))));
        }
    }
}
