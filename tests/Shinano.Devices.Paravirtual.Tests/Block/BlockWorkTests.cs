using Shinano.Devices.Paravirtual.Block;
using Shinano.Storage;

namespace Shinano.Devices.Paravirtual.Tests.Block;

/// <summary>Long work over a disk's image lives as long as the image is open, and no longer.</summary>
public sealed class BlockWorkTests
{
    private const short Okay = 0;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Work_goes_on_with_the_image_that_is_opened_next_and_is_forgotten_at_its_end()
    {
        await using BlockRig rig = await BlockRig.CreateAsync();
        BlockBackEnd disk = (BlockBackEnd)rig.Registry.Get("vbd", "51712");
        Work work = new();
        await disk.StartAsync(work, Cancellation);
        IBlockImage first = await work.Begun.WaitAsync(Cancellation);
        Assert.Equal(Okay, await rig.AskAsync(0, 0, (4, 0, 7)));
        await disk.ReopenAsync(
            _ =>
            {
                Assert.Equal(0, work.Running);
                return Task.CompletedTask;
            },
            Cancellation);
        IBlockImage second = await work.Begun.WaitAsync(Cancellation);
        Assert.NotSame(first, second);
        work.Finish.SetResult();
        await work.Ended.WaitAsync(Cancellation);
        await disk.ReopenAsync(_ => Task.CompletedTask, Cancellation);
        Assert.Equal((0, 2), (work.Running, work.Runs));
        Assert.Same(work, disk.Work);
    }

    [Fact]
    public async Task Work_ends_when_it_is_stopped_when_another_medium_comes_and_with_the_disk()
    {
        Work last = new();
        await using (BlockRig rig = await BlockRig.CreateAsync())
        {
            BlockBackEnd disk = (BlockBackEnd)rig.Registry.Get("vbd", "51712");
            foreach (Func<Task> end in (Func<Task>[])[
                () => disk.StartAsync(null, Cancellation),
                () => disk.ReplaceAsync(async token => await ImageFile.OpenAsync(new ImageReference(rig.Image, ImageFormat.Raw), token), Cancellation)])
            {
                Work work = new();
                await disk.StartAsync(work, Cancellation);
                await work.Begun.WaitAsync(Cancellation);
                await end();
                Assert.Equal((0, 1), (work.Running, work.Runs));
                Assert.Null(disk.Work);
            }

            await disk.StartAsync(last, Cancellation);
            await last.Begun.WaitAsync(Cancellation);
            await disk.LetGoOfHostAsync();
            Assert.Equal(0, last.Running);
            await disk.TakeUpHostAsync();
            await last.Begun.WaitAsync(Cancellation);
        }

        Assert.Equal((0, 2), (last.Running, last.Runs));
    }

    [Fact]
    public async Task Work_waits_for_a_guest_that_uses_the_disk_and_not_for_one_that_does_not()
    {
        await using BlockRig rig = await BlockRig.CreateAsync();
        BlockBackEnd disk = (BlockBackEnd)rig.Registry.Get("vbd", "51712");
        Work work = new();
        await disk.StartAsync(work, Cancellation);
        await work.Begun.WaitAsync(Cancellation);
        Assert.True(work.Pace!(TimeSpan.FromSeconds(1)).IsCompleted);
        Assert.Equal(Okay, await rig.AskAsync(0, 0, (4, 0, 7)));
        ValueTask busy = work.Pace(TimeSpan.FromSeconds(1));
        Assert.False(busy.IsCompleted);
        await busy;
        Assert.True(work.Pace(TimeSpan.FromSeconds(1)).IsCompleted);
    }

    /// <summary>Runs until it is told to finish, or stopped.</summary>
    private sealed class Work : IBlockWork
    {
        private readonly System.Threading.Channels.Channel<IBlockImage> _begun = System.Threading.Channels.Channel.CreateUnbounded<IBlockImage>();
        private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int _running;
        private int _runs;

        public Task<IBlockImage> Begun => _begun.Reader.ReadAsync(Cancellation).AsTask();

        public TaskCompletionSource Finish { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Ended => _ended.Task;

        public int Running => Volatile.Read(ref _running);

        public int Runs => Volatile.Read(ref _runs);

        public Func<TimeSpan, ValueTask>? Pace { get; private set; }

        public async Task RunAsync(IBlockImage image, Func<TimeSpan, ValueTask> pace, CancellationToken cancellationToken)
        {
            Interlocked.Increment(ref _running);
            Interlocked.Increment(ref _runs);
            Pace = pace;
            _begun.Writer.TryWrite(image);
            try
            {
                await Finish.Task.WaitAsync(cancellationToken);
                await image.ReadAsync(0, new byte[512], cancellationToken);
                _ended.SetResult();
            }
            finally
            {
                Interlocked.Decrement(ref _running);
            }
        }
    }
}
