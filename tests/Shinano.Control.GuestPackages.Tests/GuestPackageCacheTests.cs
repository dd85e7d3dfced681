namespace Shinano.Control.GuestPackages.Tests;

public sealed class GuestPackageCacheTests : IDisposable
{
    private readonly TemporaryDirectory temporary = new();
    private readonly FakeArchive archive = new();

    public GuestPackageCacheTests()
    {
        archive.Packages["busybox-static"] = ("1:1.35.0-4", "");
        archive.Packages["linux-image-cloud-amd64"] = ("6.1.192-2", "linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2)");
        archive.Packages["linux-image-6.1.0-56-cloud-amd64"] = ("6.1.192-2", "kmod, linux-base (>= 4.3~)");
    }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose() => temporary.Dispose();

    [Fact]
    public async Task APackageIsFetchedOnceAndThenServedWithoutAnyProgram()
    {
        var cache = new GuestPackageCache(temporary.Path, archive);
        Assert.Null(cache.TryGetCached("busybox-static"));
        var package = await cache.GetAsync("busybox-static", cancellation: Cancellation);
        Assert.Equal(("busybox-static", "1:1.35.0-4"), (package.Name, package.Version));
        Assert.Equal(temporary.Combine("packages", "busybox-static_1%3a1.35.0-4"), package.Directory);
        Assert.True(File.Exists(Path.Combine(package.Directory, "content")));

        archive.Calls.Clear();
        archive.Offline = true;
        Assert.Equal(package, await new GuestPackageCache(temporary.Path, archive).GetAsync("busybox-static", cancellation: Cancellation));
        Assert.Empty(archive.Calls);
    }

    [Fact]
    public async Task AMetapackageStandsForItsKernelAndBothNamesAreCached()
    {
        var cache = new GuestPackageCache(temporary.Path, archive);
        var package = await cache.GetAsync("linux-image-cloud-amd64", cancellation: Cancellation);
        Assert.Equal("linux-image-6.1.0-56-cloud-amd64", package.Name);
        Assert.Equal(package, cache.TryGetCached("linux-image-cloud-amd64"));
        Assert.Equal(package, cache.TryGetCached("linux-image-6.1.0-56-cloud-amd64"));
        Assert.Contains("apt-get download linux-image-6.1.0-56-cloud-amd64=6.1.192-2", string.Join('\n', archive.Calls), StringComparison.Ordinal);
    }

    [Fact]
    public async Task TheListsAreReadOncePerCache()
    {
        var cache = new GuestPackageCache(temporary.Path, archive);
        await cache.GetAsync("linux-image-cloud-amd64", cancellation: Cancellation);
        await cache.GetAsync("busybox-static", cancellation: Cancellation);
        Assert.Single(archive.Calls, call => call.EndsWith("update", StringComparison.Ordinal));
    }

    [Fact]
    public async Task ProgressNamesEachStageWithBytes()
    {
        var reports = new List<PackageProgress>();
        await new GuestPackageCache(temporary.Path, archive).GetAsync(
            "linux-image-cloud-amd64", new Recorder(reports), Cancellation);
        Assert.Equal(
            [
                PackageStage.UpdatingLists, PackageStage.Resolving, PackageStage.Downloading, PackageStage.Downloading,
                PackageStage.Downloading, PackageStage.Extracting, PackageStage.Done,
            ],
            reports.Select(report => report.Stage));
        Assert.Equal(new PackageProgress(PackageStage.Downloading, "linux-image-6.1.0-56-cloud-amd64", 400, 1000, 40), reports[3]);
    }

    [Fact]
    public async Task OfflineTheMessageSaysWhatIsMissingAndHowToGetIt()
    {
        archive.Offline = true;
        var cache = new GuestPackageCache(temporary.Path, archive);
        var kernel = await Assert.ThrowsAsync<GuestPackageUnavailableException>(
            () => cache.GetAsync("linux-image-cloud-amd64", cancellation: Cancellation));
        Assert.Equal("linux-image-cloud-amd64", kernel.Package);
        Assert.Contains("Failed to fetch http://archive.example/InRelease  Could not connect", kernel.Message, StringComparison.Ordinal);
        Assert.Contains("apt-get download $(apt-cache depends linux-image-cloud-amd64 |", kernel.Message, StringComparison.Ordinal);
        Assert.Contains(temporary.Combine("downloads"), kernel.Message, StringComparison.Ordinal);
        var busybox = await Assert.ThrowsAsync<GuestPackageUnavailableException>(
            () => cache.GetAsync("busybox-static", cancellation: Cancellation));
        Assert.Contains("apt-get download busybox-static\n", busybox.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateDirectories(temporary.Combine("packages"), ".tmp-*"));
    }

    [Fact]
    public async Task OnAnotherSystemTheMessageSaysSo()
    {
        archive.NotDebian = true;
        var failure = await Assert.ThrowsAsync<GuestPackageUnavailableException>(
            () => new GuestPackageCache(temporary.Path, archive).GetAsync("busybox-static", cancellation: Cancellation));
        Assert.Contains("not Debian", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AnUnknownPackageIsBlamedOnTheSources()
    {
        var failure = await Assert.ThrowsAsync<GuestPackageUnavailableException>(
            () => new GuestPackageCache(temporary.Path, archive).GetAsync("no-such", cancellation: Cancellation));
        Assert.Contains("/etc/apt", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task APackagePutThereByHandIsUsedOffline()
    {
        archive.Offline = true;
        Directory.CreateDirectory(temporary.Combine("downloads"));
        File.WriteAllText(temporary.Combine("downloads", "linux-image-6.1.0-56-cloud-amd64_6.1.192-2_amd64.deb"), "cloud");
        File.WriteAllText(temporary.Combine("downloads", "linux-image-6.1.0-56-amd64_6.1.192-2_amd64.deb"), "general");
        var cache = new GuestPackageCache(temporary.Path, archive);
        var cloud = await cache.GetAsync("linux-image-cloud-amd64", cancellation: Cancellation);
        var general = await cache.GetAsync("linux-image-amd64", cancellation: Cancellation);
        Assert.Equal("linux-image-6.1.0-56-cloud-amd64", cloud.Name);
        Assert.Equal("linux-image-6.1.0-56-amd64", general.Name);
    }

    [Theory]
    [InlineData("busybox-static", "busybox-static", true)]
    [InlineData("linux-image-6.1.0-56-amd64", "linux-image-amd64", true)]
    [InlineData("linux-image-6.12.48+deb13-amd64", "linux-image-amd64", true)]
    [InlineData("linux-image-6.1.0-56-cloud-amd64", "linux-image-amd64", false)]
    [InlineData("linux-image-6.1.0-56-rt-amd64", "linux-image-amd64", false)]
    [InlineData("linux-image-6.1.0-56-cloud-amd64", "linux-image-cloud-amd64", true)]
    [InlineData("linux-image-6.1.0-56-amd64-unsigned", "linux-image-amd64", false)]
    [InlineData("linux-image-amd64", "linux-image-cloud-amd64", false)]
    [InlineData("linux-image-amd64", "linux-image-rt-amd64", false)]
    [InlineData("busybox", "busybox-static", false)]
    public void AMetapackageKnowsItsFlavour(string package, string name, bool expected) =>
        Assert.Equal(expected, GuestPackageCache.StandsFor(package, name));

    [Fact]
    public async Task AFailedExtractionLeavesNothingAndIsExplained()
    {
        archive.ExtractionError = "dpkg-deb: error: No space left on device";
        var cache = new GuestPackageCache(temporary.Path, archive);
        var failure = await Assert.ThrowsAsync<GuestPackageUnavailableException>(
            () => cache.GetAsync("busybox-static", cancellation: Cancellation));
        Assert.Contains("No space left", failure.Message, StringComparison.Ordinal);
        Assert.Null(cache.TryGetCached("busybox-static"));
        Assert.Equal([".names"], Directory.EnumerateDirectories(temporary.Combine("packages")).Select(Path.GetFileName));
    }

    [Fact]
    public async Task LeftoversOfADeadProcessAreRemoved()
    {
        Directory.CreateDirectory(temporary.Combine("packages", ".tmp-dead", "tree"));
        await new GuestPackageCache(temporary.Path, archive).GetAsync("busybox-static", cancellation: Cancellation);
        Assert.False(Directory.Exists(temporary.Combine("packages", ".tmp-dead")));
    }

    [Fact]
    public async Task ManyAtOnceFetchOnce()
    {
        var tasks = Enumerable.Range(0, 8).Select(_ => Task.Run(
            () => new GuestPackageCache(temporary.Path, archive).GetAsync("busybox-static", cancellation: Cancellation)));
        var packages = await Task.WhenAll(tasks);
        Assert.Single(packages.Distinct());
        Assert.Single(archive.Calls, call => call.StartsWith("apt-get download", StringComparison.Ordinal));
    }

    [Fact]
    public async Task AWaitingProcessSaysSoAndGoesOnWhenTheLockIsFree()
    {
        Directory.CreateDirectory(temporary.Combine("packages", ".names"));
        var waiting = new TaskCompletionSource();
        var held = await CacheLock.TakeAsync(temporary.Combine("packages", ".lock"), () => { }, Cancellation);
        var fetch = new GuestPackageCache(temporary.Path, archive).GetAsync(
            "busybox-static", new Recorder([], report => waiting.TrySetResult()), Cancellation);
        await waiting.Task.WaitAsync(Cancellation);
        Assert.Empty(archive.Calls);
        held.Dispose();
        Assert.Equal("busybox-static", (await fetch).Name);
    }

    [Theory]
    [InlineData("../etc")]
    [InlineData("a/b")]
    [InlineData("-o")]
    [InlineData("A")]
    [InlineData("a b")]
    public void OtherNamesAreRefused(string name) =>
        Assert.Throws<ArgumentException>(() => new GuestPackageCache(temporary.Path, archive).TryGetCached(name));

    [Fact]
    public async Task ACacheThatCannotBeWrittenIsNamed()
    {
        File.WriteAllText(temporary.Combine("file"), "");
        var failure = await Assert.ThrowsAsync<GuestPackageUnavailableException>(
            () => new GuestPackageCache(temporary.Combine("file"), archive).GetAsync("busybox-static", cancellation: Cancellation));
        Assert.Contains("cannot be written", failure.Message, StringComparison.Ordinal);
    }

    private sealed class Recorder(List<PackageProgress> reports, Action<PackageProgress>? onReport = null) : IProgress<PackageProgress>
    {
        public void Report(PackageProgress value)
        {
            reports.Add(value);
            onReport?.Invoke(value);
        }
    }
}
