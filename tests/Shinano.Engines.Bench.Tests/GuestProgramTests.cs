namespace Shinano.Engines.Bench.Tests;

/// <summary>The guest program on the host.</summary>
public sealed class GuestProgramTests
{
    /// <summary>Two runs of each group, as small as they can be: a checksum that depends on anything but the work would make every column wrong.</summary>
    [Fact]
    public async Task Every_group_computes_the_same_twice()
    {
        CancellationToken cancellation = TestContext.Current.CancellationToken;
        string directory = Directory.CreateTempSubdirectory("shinano-bench.").FullName;
        try
        {
            string program = "";
            try
            {
                program = await GuestFiles.BuildProgramAsync(directory, cancellation);
            }
            catch (BenchFailureException missing) when (missing.Message.Contains("apt-get", StringComparison.Ordinal))
            {
                Assert.Skip(missing.Message);
            }

            string? busybox = new[] { "/bin/busybox", "/usr/bin/busybox" }.FirstOrDefault(File.Exists);
            await using NativeTarget host = new(new GuestFiles(program, busybox ?? "", "", "", ""), TimeSpan.FromMinutes(2));
            string[] needBusybox = busybox is null ? ["gzip", "sha256", "shell"] : [];
            foreach (string group in Workload.AllGroups.Concat(Workload.ParallelGroups).Except(needBusybox))
            {
                Measurement first = await host.RunAsync(group, 1, cancellation), second = await host.RunAsync(group, 1, cancellation);
                Assert.Equal(first.Checksum, second.Checksum);
                Assert.Equal(group, first.Group);
                Assert.True(first.Nanoseconds > 0 || first.Skipped is not null);
            }
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }
}
