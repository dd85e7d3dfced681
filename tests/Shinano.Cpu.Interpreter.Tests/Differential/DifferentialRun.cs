using System.Globalization;
using System.Text;
using Iced.Intel;

namespace Shinano.Cpu.Interpreter.Tests.Differential;

/// <summary>Runs many cases on the host and here, and reports where they differ.</summary>
internal static class DifferentialRun
{
    /// <summary>
    /// Cases of a run: <paramref name="standard"/>, or so many times more as the environment variable SHINANO_DIFFERENTIAL says. Its seeds go on from
    /// SHINANO_SEED.
    /// </summary>
    public static int Budget(int standard) =>
        int.TryParse(Environment.GetEnvironmentVariable("SHINANO_DIFFERENTIAL"), CultureInfo.InvariantCulture, out int factor) ? standard * factor : standard;

    /// <summary>Compares and fails with the first differing cases of up to ten different instructions.</summary>
    public static void Check(CaseGenerator generator, ICaseExecutor executor, int count, int leastCompared)
    {
        Assert.SkipWhen(HostOracle.Unavailable is not null, HostOracle.Unavailable ?? "");
        using HostOracle oracle = new();
        _ = ulong.TryParse(Environment.GetEnvironmentVariable("SHINANO_SEED"), CultureInfo.InvariantCulture, out ulong seed);
        StringBuilder report = new();
        HashSet<string> kinds = [];
        int compared = 0;
        for (int done = 0; done < count && kinds.Count < 12; done += HostOracle.BatchSize)
        {
            ulong first = seed + (ulong)done;
            MachineCase[] cases = [.. Enumerable.Range(0, HostOracle.BatchSize).Select(i => generator.Generate(first + (ulong)i))];
            MachineCase?[] ours = [.. cases.Select(executor.Run)];
            MachineCase[] host = oracle.Run(cases);
            for (int i = 0; i < cases.Length; i++)
            {
                if (ours[i] is not MachineCase actual)
                {
                    continue;
                }

                compared++;
                IReadOnlyList<string> differences = OutcomeComparer.Compare(cases[i], host[i], actual);
                if (differences.Count != 0 && kinds.Count < 12 && kinds.Add(Kind(cases[i], host[i], differences)))
                {
                    Describe(report, first + (ulong)i, cases[i], host[i].Rip, differences);
                }
            }
        }

        Assert.True(report.Length == 0, report.ToString());
        Assert.True(compared >= leastCompared, $"only {compared} of {count} cases could be run");
    }

    private static string Kind(MachineCase initial, MachineCase host, IReadOnlyList<string> differences) =>
        $"{(initial.Instructions.Count == 1 ? initial.Instructions[0].Code : initial.Instructions.FirstOrDefault(x => x.IP == host.Rip).Code)} {differences[0].Split(':')[0]}";

    private static void Describe(StringBuilder report, ulong seed, MachineCase made, ulong ended, IReadOnlyList<string> differences)
    {
        _ = report.AppendLine(CultureInfo.InvariantCulture, $"seed {seed}: {Convert.ToHexString(made.Code)}, ended at {ended:X}");
        foreach (Instruction instruction in made.Instructions)
        {
            _ = report.AppendLine(CultureInfo.InvariantCulture, $"    {instruction.IP:X}: {instruction} ({instruction.Code})");
        }

        _ = report.AppendLine(CultureInfo.InvariantCulture, $"  flags {made.Rflags:X}, fs {made.FsBase:X}, gs {made.GsBase:X}, last page {made.LastPage}, "
            + $"mxcsr {BitConverter.ToUInt32(made.Xsave, CpuState.MxcsrOffset):X}, fcw {BitConverter.ToUInt16(made.Xsave, 0):X}, fsw {BitConverter.ToUInt16(made.Xsave, 2):X}");
        _ = report.AppendLine("  " + string.Join(' ', made.Gpr.Select(g => g.ToString("X", CultureInfo.InvariantCulture))));
        foreach (int register in made.Instructions.SelectMany(i => Enumerable.Range(0, i.OpCount).Select(o => i.GetOpRegister(o)))
            .Where(r => r.IsVectorRegister()).Select(r => r.GetNumber()).Distinct())
        {
            _ = report.AppendLine(CultureInfo.InvariantCulture, $"  ymm{register}: {Convert.ToHexString(made.Xsave, CpuState.XmmOffset + (16 * register), 16)} "
                + $"{Convert.ToHexString(made.Xsave, CpuState.YmmHighOffset + (16 * register), 16)}");
        }

        foreach (string difference in differences)
        {
            _ = report.AppendLine("  * " + difference);
        }
    }
}
