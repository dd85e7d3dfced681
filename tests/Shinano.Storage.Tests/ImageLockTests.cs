using System.Diagnostics;

namespace Shinano.Storage.Tests;

/// <summary>The in-use lock's end.</summary>
public sealed class ImageLockTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>Between fork and exec a child has all our files open, and with them their locks.</summary>
    [Fact]
    public async Task A_closed_image_is_free_although_processes_are_being_started()
    {
        using TemporaryDirectory directory = new();
        string path = await ImageKind.Qcow2.CreateAsync(directory.Root, new byte[1 << 20]);
        using CancellationTokenSource done = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        Task starter = Task.Run(
            () =>
            {
                while (!done.IsCancellationRequested)
                {
                    using Process process = Process.Start("/bin/true");
                    process.WaitForExit();
                }
            },
            Cancellation);
        for (int i = 0; i < 300; i++)
        {
            await using IBlockImage image = await ImageFile.OpenAsync(new ImageReference(path, ImageFormat.Qcow2), Cancellation);
        }

        await done.CancelAsync();
        await starter;
    }
}
