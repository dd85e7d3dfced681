using System.Diagnostics.CodeAnalysis;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Control.Daemon.Snapshots;
using Shinano.Linux;
using Shinano.SavedState;
using Shinano.Storage.Pools;

namespace Shinano.Control.Tests;

/// <summary>What xend does for snapshots of a domain, in every order, and when it is killed on the way. The domain process is the double; the pools are real.</summary>
public sealed class SnapshotTests
{
    private const string Disks = "disk = [ 'vol:tank/one,xvda,w', 'vol:tank/two,xvdb,w' ]";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Snapshots_are_taken_listed_reverted_to_in_any_order_and_deleted()
    {
        await using TestHome home = await TestHome.StartAsync();
        DirectoryPool pool = await PoolAsync(home);
        CreatedDomain domain = (await home.CreateAsync("a", Disks))!;
        await TakeAsync(home, "first");
        await TakeAsync(home, "second");
        await DomainLifeTests.FailsAsync(DomainFailureCode.Duplicate, TakeAsync(home, "first"));
        Assert.Equal([("first", null, false), ("second", "first", true)], await ListAsync(home));
        Assert.Equal(
            ["tank/one@first", "tank/one@second", "tank/two@first", "tank/two@second"],
            (await pool.ListAsync(Cancellation)).Where(info => info.Type == "snapshot").Select(info => info.Name));

        Task<DomainOutcome> outcome = home.Client.WaitForEndAsync(domain.Id, Cancellation);
        CreatedDomain reverted = await RevertAsync(home, "first");
        Assert.Equal((2, "a", domain.Uuid), (reverted.Id, reverted.Name, reverted.Uuid));
        Assert.Equal(2, (await outcome).Successor!.Id);
        Assert.Equal([("first", null, true), ("second", "first", false)], await ListAsync(home));
        await TakeAsync(home, "third");
        await RevertAsync(home, "second");
        await RevertAsync(home, "third");
        Assert.Equal([("first", null, false), ("second", "first", false), ("third", "first", true)], await ListAsync(home));

        // What comes from one that goes comes from that one's parent.
        await home.Client.DeleteSnapshotAsync("a", "first", metadata: false, Cancellation);
        Assert.Equal([("second", null, false), ("third", null, true)], await ListAsync(home));
        await DomainLifeTests.FailsAsync(DomainFailureCode.NoSuchSnapshot, RevertAsync(home, "first"));

        // A domain that is gone is found by its snapshots.
        await home.Client.DestroyAsync("a", Cancellation);
        await RevertAsync(home, "second");
        await home.Client.DestroyAsync("a", Cancellation);
        await home.Client.DeleteSnapshotAsync("a", "second", metadata: false, Cancellation);
        await home.Client.DeleteSnapshotAsync(domain.Uuid.ToString("D"), "third", metadata: false, Cancellation);
        await DomainLifeTests.FailsAsync(DomainFailureCode.NoSuchDomain, home.Client.ListSnapshotsAsync("a", Cancellation));
        Assert.DoesNotContain(await pool.ListAsync(Cancellation), info => info.Type == "snapshot");
        Assert.Empty(Directory.EnumerateFileSystemEntries(Path.Combine(home.Paths.StateDirectory, "snapshots")));
        await home.AssertNothingLeftAsync(DomainLifeTests.Store(home));
    }

    [Fact]
    public async Task A_paused_domain_comes_back_paused_unless_it_is_told_otherwise()
    {
        await using TestHome home = await TestHome.StartAsync();
        await home.CreateAsync("a", paused: true);
        DomainSnapshotInfo taken = await TakeAsync(home, "still");
        Assert.True(taken.Paused);
        await home.Client.UnpauseAsync("a", Cancellation);
        await RevertAsync(home, "still");
        Assert.Equal(DomainStates.Paused, (await home.Client.DescribeAsync("a", Cancellation)).Summary.State);
        await home.Client.RevertSnapshotAsync("a", "still", new RevertRequest(Paused: false), null, Cancellation);
        Assert.Equal(DomainStates.Blocked, (await home.Client.DescribeAsync("a", Cancellation)).Summary.State);
    }

    [Theory]
    [InlineData("fake.no-suspend", DomainFailureCode.WrongState)]
    [InlineData("fake.no-save", DomainFailureCode.HostResource)]
    [InlineData("fake.no-snapshot=51728", DomainFailureCode.HostResource)]
    public async Task A_snapshot_that_fails_leaves_the_domain_and_no_part_of_it(string behaviour, DomainFailureCode code)
    {
        await using TestHome home = await TestHome.StartAsync();
        DirectoryPool pool = await PoolAsync(home);
        await home.CreateAsync("a", $"extra = '{behaviour}'\n{Disks}");
        await DomainLifeTests.FailsAsync(code, TakeAsync(home, "one"));
        Assert.Equal(DomainStates.Blocked, (await home.Client.DescribeAsync("a", Cancellation)).Summary.State);
        await AssertNoSnapshotAsync(home, pool);
    }

    [Fact]
    public async Task What_cannot_be_snapshotted_is_refused_before_anything_happens()
    {
        await using TestHome home = await TestHome.StartAsync();
        DirectoryPool pool = await PoolAsync(home);
        string file = Path.Combine(home.Directory, "plain.img");
        await File.WriteAllBytesAsync(file, new byte[4096], Cancellation);
        await home.CreateAsync("a", $"disk = [ 'vol:tank/one,xvda,w', 'file:{file},xvdb,w' ]");
        DomainFailure refusal = await DomainLifeTests.FailsAsync(DomainFailureCode.DiskNotAVolume, TakeAsync(home, "one"));
        Assert.Contains("xvdb", refusal.Message, StringComparison.Ordinal);
        await AssertNoSnapshotAsync(home, pool);
        await home.CreateAsync("b", $"disk = [ 'vol:tank/two,xvda,w', 'file:{file},xvdb,r' ]");
        foreach (string name in (string[])["", "x/y", ".x", "a b", new string('x', 65)])
        {
            await DomainLifeTests.FailsAsync(DomainFailureCode.InvalidArgument, home.Client.CreateSnapshotAsync("b", new DomainSnapshotRequest(name), Cancellation));
        }

        await pool.SnapshotAsync(VolumeName.Parse("tank/two@mine"), Cancellation);
        await DomainLifeTests.FailsAsync(DomainFailureCode.Duplicate, home.Client.CreateSnapshotAsync("b", new DomainSnapshotRequest("mine"), Cancellation));
        Assert.Matches("^[0-9]+$", (await home.Client.CreateSnapshotAsync("b", new DomainSnapshotRequest(null), Cancellation)).Name);
        await DomainLifeTests.FailsAsync(DomainFailureCode.NoSuchDomain, home.Client.CreateSnapshotAsync("nobody", new DomainSnapshotRequest("x"), Cancellation));
    }

    [Fact]
    public async Task A_snapshot_whose_volumes_changed_is_refused_and_the_domain_unharmed()
    {
        await using TestHome home = await TestHome.StartAsync();
        DirectoryPool pool = await PoolAsync(home);
        CreatedDomain domain = (await home.CreateAsync("a", Disks))!;
        await TakeAsync(home, "one");
        await pool.CloneAsync(VolumeName.Parse("tank/two@one"), VolumeName.Parse("tank/copy"), Cancellation);
        await DomainLifeTests.FailsAsync(DomainFailureCode.WrongState, home.Client.DeleteSnapshotAsync("a", "one", metadata: false, Cancellation));
        Assert.Single(await ListAsync(home));
        await pool.DestroyAsync(VolumeName.Parse("tank/copy"), false, false, null, Cancellation);
        await pool.DestroyAsync(VolumeName.Parse("tank/two@one"), false, false, null, Cancellation);
        await DomainLifeTests.FailsAsync(DomainFailureCode.SnapshotIncomplete, RevertAsync(home, "one"));
        await pool.SnapshotAsync(VolumeName.Parse("tank/two@one"), Cancellation);
        DomainFailure other = await DomainLifeTests.FailsAsync(DomainFailureCode.SnapshotIncomplete, RevertAsync(home, "one"));
        Assert.Contains("another", other.Message, StringComparison.Ordinal);
        Assert.Equal(domain.Id, (await home.Client.DescribeAsync("a", Cancellation)).Summary.Id);

        // Another's snapshot of the same name stays.
        await home.Client.DeleteSnapshotAsync("a", "one", metadata: false, Cancellation);
        Assert.Equal(["tank/two@one"], (await pool.ListAsync(Cancellation)).Where(info => info.Type == "snapshot").Select(info => info.Name));
    }

    [Fact]
    public async Task Each_kind_of_broken_record_and_memory_has_its_name_and_the_domain_is_unharmed()
    {
        await using TestHome home = await TestHome.StartAsync();
        await PoolAsync(home);
        CreatedDomain domain = (await home.CreateAsync("a", Disks))!;
        await TakeAsync(home, "one");
        await TakeAsync(home, "other");
        string record = FileOf(home, domain, "one.snapshot");
        byte[] whole = await File.ReadAllBytesAsync(record, Cancellation);
        string text = Encoding.UTF8.GetString(whole.AsSpan(16, whole.Length - 20));
        foreach ((byte[] content, DomainFailureCode code) in ((byte[], DomainFailureCode)[])
        [
            ([1, 2, 3], DomainFailureCode.NotASnapshot),
            ([.. whole.AsSpan(0, 8), 2, .. whole.AsSpan(9)], DomainFailureCode.SnapshotVersion),
            (whole[..^3], DomainFailureCode.SnapshotTruncated),
            ([.. whole, 0], DomainFailureCode.SnapshotDamaged),
            ([.. whole.AsSpan(0, 60), (byte)~whole[60], .. whole.AsSpan(61)], DomainFailureCode.SnapshotDamaged),
            (Sealed("{}"), DomainFailureCode.SnapshotSenseless),
            (Sealed("[1, 2"), DomainFailureCode.SnapshotSenseless),
            (Sealed(text.Replace("tank/one", "tank/one@x", StringComparison.Ordinal)), DomainFailureCode.SnapshotSenseless),
            (Sealed(text.Replace("\"name\":\"one\"", "\"name\":\"two\"", StringComparison.Ordinal)), DomainFailureCode.SnapshotSenseless),
            (Sealed(text.Replace("\"name\":\"one\"", "\"name\":\"../x\"", StringComparison.Ordinal)), DomainFailureCode.SnapshotSenseless),
        ])
        {
            await File.WriteAllBytesAsync(record, content, Cancellation);
            await DomainLifeTests.FailsAsync(code, RevertAsync(home, "one"));
            Assert.Equal(code, (await home.Client.ListSnapshotsAsync("a", Cancellation)).Single(info => info.Name == "one").Problem!.Code);
        }

        await File.WriteAllBytesAsync(record, whole, Cancellation);
        string memory = FileOf(home, domain, "one.save");
        byte[] saved = await File.ReadAllBytesAsync(memory, Cancellation);
        foreach ((byte[] content, DomainFailureCode code) in ((byte[], DomainFailureCode)[])
        [
            (saved[..^1], DomainFailureCode.SavedDomainTruncated),
            ([.. saved.AsSpan(0, 60), (byte)~saved[60], .. saved.AsSpan(61)], DomainFailureCode.SavedDomainDamaged),
            (await File.ReadAllBytesAsync(FileOf(home, domain, "other.save"), Cancellation), DomainFailureCode.SnapshotSenseless),
        ])
        {
            await File.WriteAllBytesAsync(memory, content, Cancellation);
            await DomainLifeTests.FailsAsync(code, RevertAsync(home, "one"));
        }

        File.Delete(memory);
        await DomainLifeTests.FailsAsync(DomainFailureCode.HostResource, RevertAsync(home, "one"));
        await DomainLifeTests.FailsAsync(DomainFailureCode.NoSuchSnapshot, RevertAsync(home, "../../managed/x"));
        Assert.Equal(domain.Id, (await home.Client.DescribeAsync("a", Cancellation)).Summary.Id);
        await File.WriteAllBytesAsync(record, [1], Cancellation);
        await home.Client.DeleteSnapshotAsync("a", "one", metadata: true, Cancellation);
        Assert.Equal([("other", "one", true)], await ListAsync(home));
    }

    [Fact]
    public async Task A_managed_domain_with_snapshots_is_not_deleted_and_starts_from_one()
    {
        await using TestHome home = await TestHome.StartAsync();
        await PoolAsync(home);
        await home.Client.DefineAsync(home.Request("m", Disks), null, Cancellation);
        await DomainLifeTests.FailsAsync(DomainFailureCode.WrongState, home.Client.CreateSnapshotAsync("m", new DomainSnapshotRequest("x"), Cancellation));
        await home.Client.StartAsync("m", paused: false, null, Cancellation);
        await home.Client.CreateSnapshotAsync("m", new DomainSnapshotRequest("x"), Cancellation);
        await home.Client.DestroyAsync("m", Cancellation);
        DomainFailure refusal = await DomainLifeTests.FailsAsync(DomainFailureCode.WrongState, home.Client.DeleteAsync("m", Cancellation));
        Assert.Contains("snapshots (x)", refusal.Message, StringComparison.Ordinal);
        await home.Client.RevertSnapshotAsync("m", "x", new RevertRequest(null), null, Cancellation);
        await home.Client.DestroyAsync("m", Cancellation);
        await home.Client.DeleteSnapshotAsync("m", "x", metadata: false, Cancellation);
        await home.Client.DeleteAsync("m", Cancellation);
    }

    [Fact]
    public async Task A_xend_that_is_killed_while_it_takes_a_snapshot_leaves_no_part_of_it_and_the_domain_running()
    {
        await using TestHome home = await TestHome.StartProcessAsync();
        DirectoryPool pool = await PoolAsync(home);
        await home.CreateAsync("a", $"extra = 'fake.hang-after-snapshot=51728'\n{Disks}");
        int process = await home.ProcessOfAsync("a");
        Task taking = TakeAsync(home, "one");
        while (!(await pool.ListAsync(Cancellation)).Any(info => info.Name == "tank/two@one"))
        {
            await Task.Delay(10, Cancellation);
        }

        await home.KillXendAsync();
        await DomainLifeTests.FailsAsync(DomainFailureCode.HostResource, taking);
        await home.StartXendAsync();
        Assert.Equal(process, await home.ProcessOfAsync("a"));
        await AssertNoSnapshotAsync(home, pool);
    }

    [Fact]
    public async Task A_xend_that_is_killed_while_it_reverts_finishes_with_the_disks_and_can_be_asked_again()
    {
        await using TestHome home = await TestHome.StartProcessAsync();
        DirectoryPool pool = await PoolAsync(home);
        CreatedDomain domain = (await home.CreateAsync("a", Disks))!;
        await TakeAsync(home, "one");
        await TakeAsync(home, "two");

        // Whoever holds the pool's lock keeps xend where it has ended the domain and not yet reverted its volumes.
        Task reverting;
        using (SafeFileHandle held = File.OpenHandle(Path.Combine(pool.Root, "lock"), FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete))
        {
            FileRangeLock.Lock(held, 0, 1);
            reverting = RevertAsync(home, "one");
            while ((await home.Client.ListAsync(Cancellation)).Any(one => one.Name == "a"))
            {
                await Task.Delay(10, Cancellation);
            }

            await home.KillXendAsync();
        }

        await DomainLifeTests.FailsAsync(DomainFailureCode.HostResource, reverting);
        Assert.Equal("one", Reverting(home, domain));
        await home.StartXendAsync();
        Assert.Null(Reverting(home, domain));
        Assert.Equal([("one", null, true), ("two", "one", false)], await ListAsync(home));
        Assert.Equal(domain.Uuid, (await RevertAsync(home, "one")).Uuid);
        await RevertAsync(home, "two");
    }

    [Fact]
    public async Task A_xend_that_is_killed_before_it_could_end_the_domain_has_reverted_nothing()
    {
        await using TestHome home = await TestHome.StartProcessAsync();
        await PoolAsync(home);
        CreatedDomain domain = (await home.CreateAsync("a", Disks))!;
        await TakeAsync(home, "one");
        await TakeAsync(home, "two");
        await home.KillXendAsync();
        Folder(home, domain).WritePosition(new SnapshotPosition { Current = "two", Reverting = "one", EndingId = domain.Id });
        await home.StartXendAsync();
        Assert.Equal(domain.Id, (await home.Client.DescribeAsync("a", Cancellation)).Summary.Id);
        Assert.Equal([("one", null, false), ("two", "one", true)], await ListAsync(home));
        Assert.Null(Reverting(home, domain));
    }

    [Fact]
    public void The_bytes_of_the_records_are_frozen()
    {
        SnapshotDescription description = new()
        {
            Id = Guid.Parse("11111111-2222-3333-4444-555555555555"),
            Name = "s",
            Domain = "d",
            Uuid = Guid.Parse("0f9b0a4e-5d0b-4f57-9a0a-2f6d6a1d7c11"),
            Taken = DateTimeOffset.UnixEpoch,
            Parent = "r",
            Paused = true,
            MemoryBytes = 77,
            Volumes = [new SnapshotVolume("51712", "tank/v", Guid.Parse("99999999-8888-7777-6666-555555555555"))],
        };
        Assert.Equal(
            """
            {"id":"11111111-2222-3333-4444-555555555555","name":"s","domain":"d","uuid":"0f9b0a4e-5d0b-4f57-9a0a-2f6d6a1d7c11","taken":"1970-01-01T00:00:00+00:00","parent":"r","paused":true,"memoryBytes":77,"volumes":[{"device":"51712","volume":"tank/v","guid":"99999999-8888-7777-6666-555555555555"}]}
            """,
            Content(description.ToBytes(), "SHINSNAP"));
        Assert.Equal(description.ToBytes(), SnapshotDescription.Read(description.ToBytes()).ToBytes());
        SnapshotPosition position = new() { Current = "a", Reverting = "b", EndingId = 7 };
        Assert.Equal("""{"current":"a","reverting":"b","endingId":7}""", Content(position.ToBytes(), "SHINSNPT"));
        Assert.Equal(position, SnapshotPosition.Read(position.ToBytes()));
    }

    [Fact]
    public void Records_of_random_bytes_are_refused()
    {
        Random random = new(3);
        byte[] whole = new SnapshotPosition { Current = "a" }.ToBytes();
        for (int i = 0; i < 2000; i++)
        {
            byte[] bytes = new byte[random.Next(100)];
            random.NextBytes(bytes);
            whole.AsSpan(0, Math.Min(bytes.Length, random.Next(30))).CopyTo(bytes);
            Assert.Throws<SavedStateException>(() => SnapshotPosition.Read(bytes));
            Assert.Throws<SavedStateException>(() => SnapshotDescription.Read(bytes));
        }
    }

    private static string Content(byte[] file, string letters)
    {
        Assert.Equal(letters, Encoding.ASCII.GetString(file, 0, 8));
        Assert.Equal([1, 0, 0, 0, (byte)(file.Length - 20), (byte)((file.Length - 20) >> 8), 0, 0], file[8..16]);
        return Encoding.UTF8.GetString(file, 16, file.Length - 20);
    }

    private static byte[] Sealed([StringSyntax(StringSyntaxAttribute.Json)] string json) =>
        SealedRecord.Seal(SnapshotDescription.Letters, SnapshotDescription.Version, Encoding.UTF8.GetBytes(json));

    private static async Task<DirectoryPool> PoolAsync(TestHome home)
    {
        DirectoryPool pool = (DirectoryPool)new VolumePools(home.Paths).Get("tank");
        await pool.CreateAsync(VolumeName.Parse("tank/one"), 1 << 20, Cancellation);
        await pool.CreateAsync(VolumeName.Parse("tank/two"), 1 << 20, Cancellation);
        return pool;
    }

    private static Task<DomainSnapshotInfo> TakeAsync(TestHome home, string name) =>
        home.Client.CreateSnapshotAsync("a", new DomainSnapshotRequest(name), Cancellation);

    private static Task<CreatedDomain> RevertAsync(TestHome home, string name) =>
        home.Client.RevertSnapshotAsync("a", name, new RevertRequest(null), null, Cancellation);

    private static async Task<(string Name, string? Parent, bool Current)[]> ListAsync(TestHome home) =>
        [.. (await home.Client.ListSnapshotsAsync("a", Cancellation)).Select(info => (info.Name, info.Parent, info.Current))];

    private static string FileOf(TestHome home, CreatedDomain domain, string file) =>
        Path.Combine(home.Paths.StateDirectory, "snapshots", domain.Uuid.ToString("D"), file);

    private static SnapshotFolder Folder(TestHome home, CreatedDomain domain) => new(Path.GetDirectoryName(FileOf(home, domain, "x"))!, domain.Uuid);

    private static string? Reverting(TestHome home, CreatedDomain domain) => Folder(home, domain).ReadPosition().Reverting;

    private static async Task AssertNoSnapshotAsync(TestHome home, DirectoryPool pool)
    {
        Assert.Empty(await home.Client.ListSnapshotsAsync("a", Cancellation));
        Assert.DoesNotContain(await pool.ListAsync(Cancellation), info => info.Type == "snapshot");
        string folder = Path.Combine(home.Paths.StateDirectory, "snapshots");
        Assert.False(Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any());
    }
}
