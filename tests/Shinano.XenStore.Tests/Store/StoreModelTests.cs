using CsCheck;
using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server.Sessions;
using Shinano.XenStore.Server.Tree;

namespace Shinano.XenStore.Tests.Store;

/// <summary>Random requests against the simplest possible store, and against a store made from a checkpoint.</summary>
public sealed class StoreModelTests
{
    private static readonly Gen<string> Path =
        Gen.OneOf("a", "b", "c").Array[1, 4].Select(parts => "/" + string.Join('/', parts));

    private static readonly Gen<(int Kind, string Path, string Value)> Step =
        Gen.Select(Gen.Int[0, 5], Path, Gen.String[Gen.Char.AlphaNumeric, 0, 4]);

    [Fact]
    public void BehavesAsADictionaryOfPaths() =>
        Step.Array[1, 60].Sample(steps =>
        {
            var store = new StoreHarness();
            var model = new SortedDictionary<string, string>(StringComparer.Ordinal) { ["/"] = "" };
            foreach ((int kind, string path, string value) in steps)
            {
                Apply(store, model, kind, path, value, transaction: 0);
            }

            AssertSame(model, store);
        });

    [Fact]
    public void ATransactionWithoutConflictsIsItsRequestsInARow() =>
        Gen.Select(Step.Array[0, 20], Step.Array[1, 30]).Sample((before, inside) =>
        {
            var store = new StoreHarness();
            var model = new SortedDictionary<string, string>(StringComparer.Ordinal) { ["/"] = "" };
            foreach ((int kind, string path, string value) in before)
            {
                Apply(store, model, kind, path, value, transaction: 0);
            }

            uint id = store.Zero.Start();
            foreach ((int kind, string path, string value) in inside)
            {
                Apply(store, model, kind, path, value, id);
            }

            Assert.Equal("OK|", store.Zero.Commit(id));
            AssertSame(model, store);
        });

    [Fact]
    public void InterleavedTransactionsAreAsIfTheyRanOneAfterTheOther() =>
        Gen.Select(Gen.Int[0, 2], Path, Gen.String[Gen.Char.AlphaNumeric, 1, 3]).Array[1, 30].Sample(steps =>
        {
            var store = new StoreHarness();
            uint[] ids = [store.Zero.Start(), store.Zero.Start(), store.Zero.Start()];
            var log = new List<string>[] { [], [], [] };
            foreach ((int who, string path, string value) in steps)
            {
                // What each sees and writes.
                log[who].Add($"{path}={store.Zero.Read(path, ids[who])};{value}");
                store.Zero.Write(path, value, ids[who]);
            }

            var serial = new StoreHarness();
            for (int who = 0; who < ids.Length; who++)
            {
                if (store.Zero.Commit(ids[who]) != "OK|")
                {
                    continue;
                }

                foreach (string entry in log[who])
                {
                    string path = entry[..entry.IndexOf('=')];
                    string seen = entry[(entry.IndexOf('=') + 1)..entry.IndexOf(';')];
                    Assert.Equal(seen, serial.Zero.Read(path));
                    serial.Zero.Write(path, entry[(entry.IndexOf(';') + 1)..]);
                }
            }

            Assert.Equal(Values(serial), Values(store));
        });

    [Fact]
    public void ACheckpointMakesTheSameState() =>
        Step.Array[1, 60].Sample(steps =>
        {
            var store = new StoreHarness();
            StoreHarness.Client one = store.Introduce(3);
            store.Introduce(4);
            store.Zero.Ask(XenStoreOperation.SetTarget, "3|4|");
            store.Zero.Ask(XenStoreOperation.Control, "quota|set|nodes|500|");
            store.Zero.SetPermissions("@releaseDomain", "n0|r3");
            int token = 0;
            foreach ((int kind, string path, string value) in steps)
            {
                switch (kind)
                {
                    case 4:
                        one.Watch(path[1..], $"t{token++}");
                        break;
                    case 5:
                        store.Zero.SetPermissions(path, "n3|r4");
                        break;
                    case 3:
                        store.Zero.Remove(path);
                        break;
                    default:
                        store.Zero.Write(path, value);
                        break;
                }
            }

            StoreMutation[] first = [.. store.Engine.State.Snapshot()];
            var copy = new StoreState();
            foreach (StoreMutation mutation in first)
            {
                copy.Apply(mutation);
            }

            Assert.Equal(StoreText.Of(store.Engine.State), StoreText.Of(copy));
        });

    private static void Apply(
        StoreHarness store, SortedDictionary<string, string> model, int kind, string path, string value, uint transaction)
    {
        switch (kind)
        {
            case 0 or 1:
                Assert.Equal("OK|", store.Zero.Write(path, value, transaction));
                CreateParents(model, path);
                model[path] = value;
                break;
            case 2:
                Assert.Equal("OK|", store.Zero.Ask(XenStoreOperation.MakeDirectory, path + "|", transaction));
                CreateParents(model, path);
                model.TryAdd(path, "");
                break;
            case 3:
                bool hasParent = model.ContainsKey(XenStorePath.Parent(path));
                Assert.Equal(hasParent ? "OK|" : "ENOENT", store.Zero.Remove(path, transaction));
                foreach (string gone in model.Keys.Where(key => key == path || key.StartsWith(path + "/")).ToArray())
                {
                    model.Remove(gone);
                }

                break;
            case 4:
                Assert.Equal(model.GetValueOrDefault(path, "ENOENT"), store.Zero.Read(path, transaction));
                break;
            default:
                string children = string.Concat(Children(model, path).Select(name => name + "|"));
                string listed = store.Zero.List(path, transaction);
                Assert.Equal(
                    model.ContainsKey(path) ? children : "ENOENT",
                    listed == "ENOENT" ? listed : string.Concat(listed.Split('|').Order(StringComparer.Ordinal).Skip(1).Select(n => n + "|")));
                break;
        }
    }

    private static void CreateParents(SortedDictionary<string, string> model, string path)
    {
        for (string above = XenStorePath.Parent(path); model.TryAdd(above, ""); above = XenStorePath.Parent(above))
        {
        }
    }

    private static IEnumerable<string> Children(SortedDictionary<string, string> model, string path) =>
        model.Keys.Where(key => key != "/" && XenStorePath.Parent(key) == path).Select(XenStorePath.LeafName);

    private static void AssertSame(SortedDictionary<string, string> model, StoreHarness store)
    {
        Assert.Equal(model, Values(store));
        Assert.Equal("OK|", store.Zero.Ask(XenStoreOperation.Control, "check|"));
    }

    private static SortedDictionary<string, string> Values(StoreHarness store) => new(
        StoreTree.Walk("/", store.Engine.State.Tree.Root)
            .ToDictionary(entry => entry.Path, entry => System.Text.Encoding.Latin1.GetString(entry.Node.Value.Span)),
        StringComparer.Ordinal);
}
