using System.Globalization;
using System.Text;
using Iced.Intel;
using Shinano.Cpu.Interpreter.Tests.Differential;
using Shinano.Memory;
using Shinano.X86;

namespace Shinano.Cpu.Translator.Tests.LockStep;

/// <summary>Runs programs on both engines and compares at every exit. Between exits both machines meet the same changes from outside.</summary>
internal sealed unsafe class LockStepRun : IDisposable
{
    private const int Exits = 10;
    private const ulong Arithmetic = 0x8D5;

    /// <summary>Time after which a program that does not end is given up, in milliseconds.</summary>
    private const int Patience = 100;

    private readonly LockStepMachine _reference = new(null);
    private readonly LockStepMachine _tested;
    private readonly Timer _watchdog;

    public LockStepRun(int threshold)
    {
        _tested = new LockStepMachine(threshold);
        _watchdog = new Timer(_ =>
        {
            _reference.Cpu.Kick();
            _tested.Cpu.Kick();
        });
    }

    /// <summary>Exits compared so far.</summary>
    public long Compared { get; private set; }

    /// <summary>Instructions executed by each engine so far.</summary>
    public ulong Instructions { get; private set; }

    /// <summary>Programs given up.</summary>
    public int GivenUp { get; private set; }

    /// <summary>Compares the program of a seed.</summary>
    /// <returns>Null when the engines agree; else the difference and the smallest program that shows it.</returns>
    public string? Check(ulong seed)
    {
        LockStepProgram program = new(seed);
        if (Compare(program, seed) is not { } difference)
        {
            return null;
        }

        List<(ulong Rip, int Length)> left = [.. program.Instructions];
        for (int round = 0; round < 2; round++)
        {
            foreach ((ulong Rip, int Length) instruction in left.ToArray())
            {
                byte[] before = program.Replace(instruction, []);
                if (Compare(program, seed) is { } still && KindOf(still) == KindOf(difference))
                {
                    difference = still;
                    left.Remove(instruction);
                }
                else
                {
                    program.Replace(instruction, before);
                }
            }
        }

        return Describe(program, seed, left, difference);
    }

    public void Dispose()
    {
        _watchdog.Dispose();
        _reference.Dispose();
        _tested.Dispose();
    }

    private static string KindOf(string difference) => difference[..difference.IndexOfAny([':', ' '])];

    private static string Describe(LockStepProgram program, ulong seed, List<(ulong Rip, int Length)> left, string difference)
    {
        StringBuilder report = new();
        report.AppendLine(CultureInfo.InvariantCulture, $"seed {seed}: {difference}");
        foreach ((ulong rip, int length) in left)
        {
            byte[] bytes = program.Image[(int)(rip - program.Base)..][..length];
            Instruction instruction = Iced.Intel.Decoder.Create(64, bytes, rip).Decode();
            report.AppendLine(CultureInfo.InvariantCulture, $"    {rip:X}: {Convert.ToHexString(bytes),-24} {instruction}");
        }

        return report.ToString();
    }

    private string? Compare(LockStepProgram program, ulong seed)
    {
        CaseRandom random = new(seed ^ 0x5DEE_CE66_D1CE_4E5B);
        ulong start = random.Next();
        _reference.Start(program, new CaseRandom(start));
        _tested.Start(program, new CaseRandom(start));
        StringBuilder events = new();
        for (int i = 0; i < Exits; i++)
        {
            _watchdog.Change(Patience, Timeout.Infinite);
            _reference.Run();
            _tested.Run();
            _watchdog.Change(Timeout.Infinite, Timeout.Infinite);
            if (_reference.Exit.Kind == CpuExitKind.Kicked || _tested.Exit.Kind == CpuExitKind.Kicked)
            {
                GivenUp++;
                return null;
            }

            // Flags that later code replaces unread may be anything at a fault (docs/quirks.md). They are compared as soon as somebody reads them.
            bool syscall = _reference.Exit.Kind == CpuExitKind.Syscall;
            if (_reference.Difference(_tested, syscall ? 0 : Arithmetic) is { } difference)
            {
                return $"{difference}; exit {i} after{events}";
            }

            Compared++;
            Instructions += _reference.Counted;
            Continue(program, random, events);
        }

        return null;
    }

    private void Continue(LockStepProgram program, CaseRandom random, StringBuilder events)
    {
        ulong address = _reference.Exit.Address;
        bool pageFault = _reference.Exit.Kind == CpuExitKind.Exception && _reference.Exit.Vector == ExceptionVector.PageFault;
        bool again = false;
        if (pageFault && random.Percent(70) && PageOf(program, address) is int page)
        {
            // The page comes back and the instruction is tried again: what was live must have survived.
            int context = (int)_reference.State->TranslationContext;
            Both(machine => machine.Change(program, page, (4 << 1) | context));
            events.Append(CultureInfo.InvariantCulture, $" (page {page} comes back)");
            again = true;
        }

        for (int i = random.Below(3); i > 0; i--)
        {
            Disturb(program, random, events);
        }

        if (again && random.Percent(95))
        {
            return;
        }

        ulong start = program.Starts[random.Below(program.Starts.Count)];
        ulong stack = MachineCase.DataBase + 0x1000 + (ulong)(8 * random.Below(500));
        ulong flags = _reference.State->Rflags & ~(Rflags.Trap | Rflags.AlignmentCheck);
        bool reset = random.Percent(50);
        events.Append(CultureInfo.InvariantCulture, $" (go on at {start:X})");
        Both(machine =>
        {
            machine.State->Rip = start;
            machine.State->Rflags = flags;
            machine.State->Gpr[4] = reset ? stack : machine.State->Gpr[4];
        });
    }

    private void Disturb(LockStepProgram program, CaseRandom random, StringBuilder events)
    {
        const ulong OsXsave = 1 << 18;
        switch (random.Below(9))
        {
            case 0 or 1 or 2:
                int page = random.Below(LockStepProgram.Pages + (LockStepMachine.DataPages * LockStepMachine.DataBases.Length));
                int choice = random.Below(12);
                events.Append(CultureInfo.InvariantCulture, $" (page {page} becomes {choice})");
                Both(machine => machine.Change(program, page, choice));
                break;
            case 3 or 4:
                int context = random.Below(2);
                events.Append(CultureInfo.InvariantCulture, $" (context {context})");
                Both(machine => machine.SetContext(context));
                break;
            case 5:
                int offset = random.Below(LockStepProgram.Pages * LockStepProgram.PageSize);
                byte value = (byte)random.Next();
                events.Append(CultureInfo.InvariantCulture, $" (device writes {value:X2} to code + {offset:X})");
                Both(machine => machine.WriteCode(offset, value));
                break;
            case 6:
                int flushed = random.Below(3);
                events.Append(CultureInfo.InvariantCulture, $" (flush {flushed})");
                Both(machine => Flush(machine, flushed));
                break;
            case 7:
                uint mxcsr = random.Percent(70) ? 0x1F80 : (uint)random.Next() & 0xFFFF;
                events.Append(CultureInfo.InvariantCulture, $" (mxcsr {mxcsr:X})");
                Both(machine => *(uint*)(machine.State->Xsave + CpuState.MxcsrOffset) = mxcsr);
                break;
            default:
                bool allowed = random.Percent(60);
                events.Append(CultureInfo.InvariantCulture, $" (AVX {allowed})");
                Both(machine => machine.State->Cr4 = allowed ? machine.State->Cr4 | OsXsave : machine.State->Cr4 & ~OsXsave);
                break;
        }
    }

    private static void Flush(LockStepMachine machine, int what)
    {
        if (what == 2)
        {
            machine.Cpu.RequestFlush();
        }
        else
        {
            machine.Cpu.FlushContext(what);
        }
    }

    private static int? PageOf(LockStepProgram program, ulong address)
    {
        ulong offset = (address - program.Base) >> GuestMemory.PageShift;
        if (offset < LockStepProgram.Pages)
        {
            return (int)offset;
        }

        for (int i = 0; i < LockStepMachine.DataBases.Length; i++)
        {
            offset = (address - LockStepMachine.DataBases[i]) >> GuestMemory.PageShift;
            if (offset < LockStepMachine.DataPages)
            {
                return LockStepProgram.Pages + (i * LockStepMachine.DataPages) + (int)offset;
            }
        }

        return null;
    }

    private void Both(Action<LockStepMachine> action)
    {
        action(_reference);
        action(_tested);
    }
}
