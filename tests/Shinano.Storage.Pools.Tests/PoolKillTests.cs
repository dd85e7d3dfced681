using System.Diagnostics;
using System.Globalization;
using Shinano.Repository;

namespace Shinano.Storage.Pools.Tests;

/// <summary>A process that changes a pool is killed at random moments: what it said was made is there, and the pool is sound but for left-over files.</summary>
public sealed class PoolKillTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_pool_survives_kills()
    {
        int seed = Random.Shared.Next(1 << 20);
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        Random random = new(seed);
        using PoolHome home = new();
        for (int round = 0; round < 8; round++)
        {
            string[] before = await home.NamesAsync();
            HashSet<string> expected = [.. before];
            HashSet<string> doubtful = [];
            foreach (string line in await ChangeUntilKilledAsync(home[""], seed + (round * 100), random.Next(1, 60)))
            {
                _ = line[0] == '+' ? expected.Add(line[2..]) : doubtful.Add(line[2..]);
            }

            // A volume that may be gone takes its snapshots along.
            string[] names = await home.NamesAsync();
            string[] lost = [.. expected.Except(names).Where(name => !doubtful.Contains(name) && !doubtful.Contains(name.Split('@')[0]))];
            Assert.True(lost.Length == 0, $"seed {seed}, round {round}: {string.Join(", ", lost)}");
            IReadOnlyList<string> found = await PoolCheck.RunAsync(home.Pool, null, repair: true, null, Cancellation);
            Assert.All(found, line => Assert.True(
                line.Contains("left over", StringComparison.Ordinal) || line.Contains("leaked clusters", StringComparison.Ordinal), $"seed {seed}, round {round}: {line}"));
            await home.AssertSoundAsync();
            foreach (string name in names.Where(name => name != "tank"))
            {
                Assert.Equal(4 << 20, (await home.ReadAsync(name)).Length);
            }
        }
    }

    private static async Task<List<string>> ChangeUntilKilledAsync(string directory, int seed, int lines)
    {
        string own = Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory);
        string program = Path.Combine(
            RepositoryRoot.Path, "tests", "Shinano.Storage.Writer", "bin", Path.GetFileName(Path.GetDirectoryName(own)!), Path.GetFileName(own), "Shinano.Storage.Writer.dll");
        ProcessStartInfo start = new("dotnet", [program, "pool", directory, seed.ToString(CultureInfo.InvariantCulture)]) { RedirectStandardOutput = true };
        using Process process = Process.Start(start)!;
        Assert.Equal("ready", await process.StandardOutput.ReadLineAsync(Cancellation));
        List<string> said = [];
        while (await process.StandardOutput.ReadLineAsync(Cancellation) is { } line)
        {
            said.Add(line);
            if (said.Count == lines)
            {
                process.Kill();
            }
        }

        await process.WaitForExitAsync(Cancellation);
        return said;
    }
}
