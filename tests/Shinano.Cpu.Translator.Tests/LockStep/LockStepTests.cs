using System.Globalization;
using System.Text;

namespace Shinano.Cpu.Translator.Tests.LockStep;

/// <summary>
/// The translator against the interpreter, exit by exit, over random programs. SHINANO_LOCKSTEP=100 compares so many times more, SHINANO_SEED says from which seed on.
/// </summary>
public sealed class LockStepTests(ITestOutputHelper output)
{
    private const int Programs = 1500;
    private const int MostReported = 5;

    /// <summary>Everything translated at once, and hot code only, so that both engines take turns on the same code.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public void RandomProgramsRunAlike(int threshold)
    {
        int factor = int.TryParse(Environment.GetEnvironmentVariable("SHINANO_LOCKSTEP"), CultureInfo.InvariantCulture, out int wish) ? wish : 1;
        _ = ulong.TryParse(Environment.GetEnvironmentVariable("SHINANO_SEED"), CultureInfo.InvariantCulture, out ulong seed);
        using LockStepRun run = new(threshold);
        StringBuilder report = new();
        int failures = 0;
        ulong end = seed + (ulong)(Programs * factor);
        for (; seed < end && failures < MostReported; seed++)
        {
            if (run.Check(seed) is { } difference)
            {
                failures++;
                report.AppendLine(difference);
            }
        }

        output.WriteLine($"{run.Compared} exits, {run.Instructions} instructions, {run.GivenUp} programs given up");
        Assert.True(failures == 0, report.ToString());
        Assert.True(run.Compared > Programs * 5);
        Assert.True(run.GivenUp * 20 < Programs * factor);
    }
}
