using System.Text;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Control.Daemon.Saving;
using Shinano.SavedState;
using Shinano.XenAbi;
using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server;

namespace Shinano.Control.Tests;

/// <summary>What xend does to save and restore a domain, and descriptions that lie. The domain process is the double.</summary>
public sealed class SaveTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_restored_domain_has_its_nodes_and_watches_under_another_number()
    {
        await using TestHome home = await TestHome.StartAsync();
        LocalStore store = DomainLifeTests.Store(home);
        string saved = Path.Combine(home.Directory, "a.save");
        CreatedDomain first = (await home.CreateAsync("a", "vcpus = 1\nmaxvcpus = 2"))!;
        store.Nodes.Write("/local/domain/1/data/mine", "x", new NodePermission(new DomainId(1), NodeAccess.None), new NodePermission(new DomainId(9), NodeAccess.Read));
        store.Nodes.Write("/local/domain/1/memory/target", "4096");
        store.AddWatch(new DomainId(1), "/local/domain/0/backend/vbd/1/51712/state", "w");
        store.AddWatch(new DomainId(1), "control/shutdown", "c");
        await home.Client.SaveAsync("a", new SaveRequest(saved, LeaveRunning: true, LeavePaused: false), Cancellation);
        await DomainLifeTests.FailsAsync(DomainFailureCode.Duplicate, RestoreAsync(home, saved));
        Task<DomainOutcome> outcome = home.Client.WaitForEndAsync(1, Cancellation);
        await home.Client.SaveAsync("a", new SaveRequest(saved, LeaveRunning: false, LeavePaused: false), Cancellation);
        Assert.Equal((DomainEnd.Suspend, "save"), ((await outcome).End, (await outcome).Action));
        await home.AssertNothingLeftAsync(store);

        CreatedDomain second = await RestoreAsync(home, saved);
        Assert.Equal((2, "a", first.Uuid), (second.Id, second.Name, second.Uuid));
        Assert.Equal("x", store.Nodes.TryReadString("/local/domain/2/data/mine"));
        Assert.Equal(["n2"], store.Nodes.TryGetPermissions("/local/domain/2/data/mine")!.Select(one => one.ToString()));
        Assert.Equal("4096", store.Nodes.TryReadString("/local/domain/2/memory/target"));
        Assert.Equal("2", store.Nodes.TryReadString("/local/domain/2/domid"));
        Assert.Equal(
            [("/local/domain/0/backend/vbd/1/51712/state", "w"), ("control/shutdown", "c")], store.WatchesOf(new DomainId(2)));

        // Once more: two former numbers.
        await home.Client.SaveAsync("a", new SaveRequest(saved, LeaveRunning: false, LeavePaused: false), Cancellation);
        Assert.Equal([1, 2], SavedDescription.ReadFile(saved).FormerIds);
        await RestoreAsync(home, saved);
        await home.Client.DestroyAsync("a", Cancellation);
        await home.AssertNothingLeftAsync(store);
    }

    [Theory]
    [InlineData("fake.no-suspend", DomainFailureCode.WrongState)]
    [InlineData("fake.no-save", DomainFailureCode.HostResource)]
    public async Task A_save_that_fails_leaves_the_domain(string behaviour, DomainFailureCode code)
    {
        await using TestHome home = await TestHome.StartAsync();
        await home.CreateAsync("a", $"extra = '{behaviour}'");
        string saved = Path.Combine(home.Directory, "a.save");
        await DomainLifeTests.FailsAsync(code, home.Client.SaveAsync("a", new SaveRequest(saved, false, false), Cancellation));
        Assert.Equal(DomainStates.Blocked, (await home.Client.DescribeAsync("a", Cancellation)).Summary.State);
        Assert.False(File.Exists(saved));
    }

    [Fact]
    public async Task A_file_that_is_no_saved_domain_is_not_replaced()
    {
        await using TestHome home = await TestHome.StartAsync();
        await home.CreateAsync("a", "");
        string other = Path.Combine(home.Directory, "thesis.txt");
        await File.WriteAllTextAsync(other, "years of work", Cancellation);
        await DomainLifeTests.FailsAsync(DomainFailureCode.InvalidArgument, home.Client.SaveAsync("a", new SaveRequest(other, false, false), Cancellation));
        Assert.Equal("years of work", await File.ReadAllTextAsync(other, Cancellation));
    }

    [Fact]
    public async Task Each_kind_of_broken_file_has_its_name_and_leaves_nothing()
    {
        await using TestHome home = await TestHome.StartAsync();
        await home.CreateAsync("a", "");
        string saved = Path.Combine(home.Directory, "a.save");
        await home.Client.SaveAsync("a", new SaveRequest(saved, false, false), Cancellation);
        byte[] whole = await File.ReadAllBytesAsync(saved, Cancellation);
        foreach ((byte[] content, DomainFailureCode code) in ((byte[], DomainFailureCode)[])
        [
            ([1, 2, 3], DomainFailureCode.NotASavedDomain),
            ([.. whole.AsSpan(0, 8), 1, .. whole.AsSpan(9)], DomainFailureCode.SavedDomainVersion),
            (whole[..^3], DomainFailureCode.SavedDomainTruncated),
            ([.. whole.AsSpan(0, 60), 0, .. whole.AsSpan(61)], DomainFailureCode.SavedDomainDamaged),
            (Described("{}"), DomainFailureCode.SavedDomainSenseless),
            (Described("[1, 2"), DomainFailureCode.SavedDomainSenseless),
        ])
        {
            await File.WriteAllBytesAsync(saved, content, Cancellation);
            await DomainLifeTests.FailsAsync(code, RestoreAsync(home, saved));
        }

        await DomainLifeTests.FailsAsync(DomainFailureCode.HostResource, RestoreAsync(home, Path.Combine(home.Directory, "nowhere")));
        await home.AssertNothingLeftAsync(DomainLifeTests.Store(home));
    }

    [Theory]
    [InlineData("\"name\":\"a\"", "\"name\":\"../a\"", "name")]
    [InlineData("\"name\":\"a\"", "\"name\":null", "lacks")]
    [InlineData("\"formerIds\":[1]", "\"formerIds\":[]", "numbers")]
    [InlineData("\"formerIds\":[1]", "\"formerIds\":[99999]", "numbers")]
    [InlineData("\"vcpus\":1", "\"vcpus\":0", "configuration")]
    [InlineData("\"maxVcpus\":1", "\"maxVcpus\":99", "configuration")]
    [InlineData("\"watches\":[]", "\"watches\":[null]", "watches")]
    public async Task A_description_that_lies_is_refused(string found, string instead, string message)
    {
        await using TestHome home = await TestHome.StartAsync();
        await home.CreateAsync("a", "");
        string saved = Path.Combine(home.Directory, "a.save");
        await home.Client.SaveAsync("a", new SaveRequest(saved, false, false), Cancellation);
        string description = Encoding.UTF8.GetString(SavedDescription.ReadFile(saved).ToBytes());
        Assert.Contains(found, description, StringComparison.Ordinal);
        await File.WriteAllBytesAsync(saved, Described(description.Replace(found, instead, StringComparison.Ordinal)), Cancellation);
        DomainFailure failure = await DomainLifeTests.FailsAsync(DomainFailureCode.SavedDomainSenseless, RestoreAsync(home, saved));
        Assert.Contains(message, failure.Message, StringComparison.Ordinal);
        await home.AssertNothingLeftAsync(DomainLifeTests.Store(home));
    }

    [Fact]
    public async Task A_node_that_cannot_be_takes_the_restored_domain_with_it()
    {
        await using TestHome home = await TestHome.StartAsync();
        await home.CreateAsync("a", "");
        string saved = Path.Combine(home.Directory, "a.save");
        await home.Client.SaveAsync("a", new SaveRequest(saved, false, false), Cancellation);
        SavedDescription description = SavedDescription.ReadFile(saved);
        foreach (SavedNode node in (SavedNode[])[new("data/../x", [], ["n1"]), new("data/x", [], []), new("data/x", [], ["q1"]), new("data//x", [], ["n1"])])
        {
            await File.WriteAllBytesAsync(
                saved, Described(Encoding.UTF8.GetString((description with { Nodes = [node] }).ToBytes())), Cancellation);
            await DomainLifeTests.FailsAsync(DomainFailureCode.SavedDomainSenseless, RestoreAsync(home, saved));
            await home.AssertNothingLeftAsync(DomainLifeTests.Store(home));
        }
    }

    private static Task<CreatedDomain> RestoreAsync(TestHome home, string path) => home.Client.RestoreAsync(new RestoreRequest(path, Paused: false), null, Cancellation);

    private static byte[] Described(string json)
    {
        MemoryStream file = new();
        SectionWriter writer = new(file);
        writer.Write(SectionKind.Description, Encoding.UTF8.GetBytes(json));
        writer.End();
        return file.ToArray();
    }
}
