using Iced.Intel;
using Shinano.Cpu.Interpreter;
using Shinano.Cpu.Interpreter.Tests.Differential;

namespace Shinano.Cpu.Translator.Tests.LockStep;

/// <summary>
/// A random program over several pages: blocks with jumps, calls and returns between them, and writes into its own code. It ends: a way back leads through a counter.
/// The same seed gives the same program.
/// </summary>
internal sealed class LockStepProgram
{
    public const int Pages = 4;
    public const int PageSize = 4096;
    private const int Blocks = 12;

    private static readonly CpuFeatures Features = InterpreterEngine.Supported;
    private static readonly IReadOnlyList<Code> Integer = [.. CodeLists.IntegerCodes(Features), .. CodeLists.FlagCodes];
    private static readonly IReadOnlyList<Code> Vector = [.. CodeLists.VectorCodes(Features)];
    private static readonly IReadOnlyList<Code> Others = [.. CodeLists.X87Codes(Features), .. CodeLists.MmxCodes(Features), .. CodeLists.StateCodes];
    private static readonly Register[] Pointers = [Register.RAX, Register.RBX, Register.RSI, Register.RDI, Register.R9, Register.R10, Register.R15];

    private static readonly Register[] Bases = [Register.RSP, Register.RSP, Register.RBX, Register.RSI, Register.RDI, Register.RBP, Register.RCX, Register.R12, Register.R10];

    private readonly CaseRandom _random;
    private readonly InstructionGenerator _generator;
    private readonly ulong[] _starts = new ulong[Blocks];
    private readonly List<ulong> _patchable = [];
    private readonly List<(ulong Rip, int Length)> _instructions = [];
    private int _at;

    public LockStepProgram(ulong seed)
    {
        _random = new CaseRandom(seed);
        _generator = new InstructionGenerator(_random) { MemoryChance = 60 };
        Base = _random.Below(10) switch { 0 => 0x7FFF_FFFF_C000, 1 => 0xFFFF_FFFF_FFFF_C000, _ => MachineCase.CodeBase };
        // At the same offsets in each page: where pages take each other's place, jumps still lead to instructions.
        int[] offsets = [0x200 + _random.Below(128), 0x800 + _random.Below(128), PageSize - 8 - _random.Below(64)];
        for (int i = 0; i < Blocks; i++)
        {
            _starts[i] = Base + (ulong)((i / 3 * PageSize) + offsets[i % 3]);
        }

        Array.Fill(Image, (byte)0xCC);
        for (int i = 0; i < Blocks; i++)
        {
            _at = (int)(_starts[i] - Base);
            AddBlock(i);
        }
    }

    /// <summary>Linear address of the first page.</summary>
    public ulong Base { get; }

    /// <summary>The code, INT3 where there is none.</summary>
    public byte[] Image { get; } = new byte[Pages * PageSize];

    /// <summary>Where the blocks begin.</summary>
    public IReadOnlyList<ulong> Starts => _starts;

    /// <summary>The instructions that were made, as they were.</summary>
    public IReadOnlyList<(ulong Rip, int Length)> Instructions => _instructions;

    /// <summary>Puts NOP in the place of an instruction, or its bytes back.</summary>
    /// <returns>The bytes before.</returns>
    public byte[] Replace((ulong Rip, int Length) instruction, ReadOnlySpan<byte> bytes)
    {
        Span<byte> place = Image.AsSpan((int)(instruction.Rip - Base), instruction.Length);
        byte[] before = place.ToArray();
        place.Fill(0x90);
        bytes.CopyTo(place);
        return before;
    }

    private void AddBlock(int number)
    {
        // Only over a counter there is a way back.
        bool counts = number == 0 || _random.Percent(40);
        if (counts)
        {
            Emit(Instruction.Create(Code.Dec_rm64, Absolute(LockStepMachine.CounterBase)));
            Emit(Instruction.CreateBranch(Code.Js_rel32_64, _starts[Blocks - 1]));
        }

        int target = counts ? _random.Below(Blocks) : number + 1 + _random.Below(Math.Max(1, Blocks - number - 1));
        int count = 1 + _random.Below(14);
        for (int i = 0; i < count && number < Blocks - 1; i++)
        {
            AddItem(number, target);
        }

        End(number, Math.Min(target, Blocks - 1));
    }

    private void AddItem(int number, int target)
    {
        ulong forward = _starts[Math.Min(Math.Max(target, number + 1), Blocks - 1)];
        switch (_random.Below(26))
        {
            case 0:
                Emit(Instruction.CreateBranch(Code.Jo_rel32_64 + (_random.Below(16) * ((int)Code.Jno_rel32_64 - (int)Code.Jo_rel32_64)), forward));
                break;
            case 1:
                Emit(Instruction.CreateBranch(Code.Call_rel32_64, forward));
                break;
            case 2:
                LoadImmediate(Register.R11, forward);
                Emit(Instruction.Create(_random.Percent(70) ? Code.Call_rm64 : Code.Jmp_rm64, Register.R11));
                break;
            case 3:
                // A return that matches no call.
                LoadImmediate(Register.RAX, forward);
                Emit(Instruction.Create(Code.Push_r64, Register.RAX));
                Emit(Instruction.Create(Code.Retnq));
                break;
            case 4:
                LoadImmediate(Register.RSP, Data(16) & ~7UL);
                break;
            case 5:
                _patchable.Add(Rip + 2);
                Emit(Instruction.Create(Code.Add_rm32_imm32, _random.Pick([Register.ECX, Register.EDX, Register.EBX]), (int)_random.Next()));
                break;
            case 6 when _patchable.Count != 0:
                LoadImmediate(Register.RDI, _random.Pick(_patchable));
                Emit(Instruction.Create(Code.Mov_rm32_r32, new MemoryOperand(Register.RDI), Register.EDX));
                break;
            case 7:
                LoadImmediate(Register.RDI, Base + (ulong)_random.Below(Pages * PageSize));
                Emit(Instruction.Create(_random.Percent(50) ? Code.Add_rm8_imm8 : Code.Or_rm8_imm8, new MemoryOperand(Register.RDI), _random.Percent(80) ? 0 : 1));
                break;
            case 8:
                // Hot data beside code.
                LoadImmediate(Register.RSI, Base + (ulong)(_random.Below(Pages) * PageSize) + 0xD00);
                Emit(Instruction.Create(Code.Inc_rm64, new MemoryOperand(Register.RSI)));
                break;
            case 9:
                Emit(Instruction.Create(Code.Push_r64, _random.Pick(Pointers)));
                Emit(Instruction.Create(Code.Pop_r64, _random.Pick(Pointers)));
                break;
            case 10:
                AddRandom(_random.Pick(Others));
                break;
            case 24 or 25:
                AddGroup(_random.Pick(Bases));
                break;
            case < 15:
                AddRandom(_random.Pick(Vector));
                break;
            default:
                AddRandom(_random.Pick(Integer));
                break;
        }
    }

    /// <summary>Several accesses off one register, which one check may serve, and what comes between them.</summary>
    private void AddGroup(Register register)
    {
        LoadImmediate(register, Data(128) & (register == Register.RSP ? ~7UL : ~0UL));
        int count = 2 + _random.Below(8);
        for (int i = 0; i < count; i++)
        {
            switch (_random.Below(register == Register.RSP ? 10 : 6))
            {
                case 0:
                    Emit(Instruction.Create(Code.Mov_r64_rm64, _random.Pick(Pointers), _random.Pick(Pointers)));
                    break;
                case 6 or 7:
                    Emit(Instruction.Create(Code.Push_r64, _random.Pick(Pointers)));
                    break;
                case 8:
                    Emit(Instruction.Create(Code.Pop_r64, _random.Pick(Pointers)));
                    break;
                case 9:
                    Emit(Instruction.Create(_random.Percent(50) ? Code.Sub_rm64_imm8 : Code.Add_rm64_imm32, Register.RSP, 8 * _random.Below(12)));
                    break;
                default:
                    AddAccess(_random.Pick(_random.Percent(80) ? Integer : Vector), register);
                    break;
            }
        }
    }

    /// <summary>An instruction with its operand near a register.</summary>
    private void AddAccess(Code code, Register register)
    {
        if (!_generator.TryGenerate(code, Rip, out Instruction instruction, out _)
            || UndefinedResults.MayBeEverything(instruction)
            || !Enumerable.Range(0, instruction.OpCount).Any(i => instruction.GetOpKind(i) == OpKind.Memory)
            || (instruction.Mnemonic is Mnemonic.Bt or Mnemonic.Btc or Mnemonic.Btr or Mnemonic.Bts && instruction.Op1Kind == OpKind.Register))
        {
            return;
        }

        if (instruction.Mnemonic == Mnemonic.Div && register != Register.RDX)
        {
            LoadImmediate(Register.RDX, (ulong)_random.Below(3));
        }

        instruction.MemoryBase = register;
        instruction.MemoryIndex = Register.None;
        instruction.MemoryIndexScale = 1;
        instruction.MemoryDisplacement64 = (ulong)(_random.Below(120) - 40);
        instruction.MemoryDisplSize = 8;
        instruction.SegmentPrefix = Register.None;
        EmitDefined(instruction);
    }

    private void End(int number, int target)
    {
        switch (number == Blocks - 1 ? 0 : _random.Below(6))
        {
            case 0:
                Emit(Instruction.Create(Code.Syscall));
                break;
            case 1:
                Emit(Instruction.Create(Code.Retnq));
                break;
            case 2:
                LoadImmediate(Register.R11, _starts[target]);
                Emit(Instruction.Create(Code.Jmp_rm64, Register.R11));
                break;
            default:
                Emit(Instruction.CreateBranch(Code.Jmp_rel32_64, _starts[target]));
                break;
        }
    }

    private void AddRandom(Code code)
    {
        if (!_generator.TryGenerate(code, Rip, out Instruction instruction, out _) || UndefinedResults.MayBeEverything(instruction))
        {
            return;
        }

        Aim(instruction);
        if (instruction.IsIPRelativeMemoryOperand && !TryMove(ref instruction))
        {
            return;
        }

        EmitDefined(instruction);
    }

    private void EmitDefined(in Instruction instruction)
    {
        Emit(instruction);

        // AND and its kin clear AF in fact; what else is undefined must not be seen.
        ulong undefined = UndefinedResults.FlagsOfAny(instruction);
        if (undefined != 0 && instruction.Mnemonic is not (Mnemonic.And or Mnemonic.Or or Mnemonic.Xor or Mnemonic.Test))
        {
            Emit(Instruction.Create(Code.Cmp_rm32_imm32, _random.Pick([Register.EAX, Register.R10D, Register.ECX]), (int)_random.Integer()));
        }
    }

    /// <summary>The same operand from where the instruction is now.</summary>
    private bool TryMove(ref Instruction instruction)
    {
        using MemoryStream stream = new();
        return Encoder.Create(64, new StreamCodeWriter(stream)).TryEncode(instruction, Rip, out _, out _);
    }

    /// <summary>Loads what the instruction uses as an address, mostly.</summary>
    private void Aim(in Instruction instruction)
    {
        // Repeated instructions always get a short run of data: where one overwrites itself, the engines may notice at different iterations.
        if (instruction.HasRepPrefix || instruction.HasRepnePrefix)
        {
            LoadImmediate(Register.RCX, (ulong)_random.Below(40));
        }
        else if (_random.Percent(4))
        {
            return;
        }

        for (int i = 0; i < instruction.OpCount; i++)
        {
            switch (instruction.GetOpKind(i))
            {
                case OpKind.Memory when instruction.MemoryBase is not (Register.None or Register.RIP or Register.EIP):
                    AimMemory(instruction);
                    break;
                case OpKind.MemorySegRSI or OpKind.MemorySegESI:
                    LoadImmediate(Register.RSI, Data(32));
                    break;
                case OpKind.MemoryESRDI or OpKind.MemoryESEDI or OpKind.MemorySegRDI or OpKind.MemorySegEDI:
                    LoadImmediate(Register.RDI, Data(32));
                    break;
            }
        }

        if (instruction.Mnemonic is Mnemonic.Div or Mnemonic.Idiv && _random.Percent(70))
        {
            Emit(Instruction.Create(Code.Mov_r64_imm64, Register.RDX, instruction.Mnemonic == Mnemonic.Div ? (ulong)_random.Below(3) : 0UL));
        }

        if (instruction.Mnemonic is Mnemonic.Bt or Mnemonic.Btc or Mnemonic.Btr or Mnemonic.Bts && instruction.Op0Kind == OpKind.Memory && instruction.Op1Kind == OpKind.Register
            && instruction.Op1Register.GetFullRegister() is var bit && bit != instruction.MemoryBase && bit != instruction.MemoryIndex)
        {
            LoadImmediate(bit, (ulong)(long)(_random.Below(20000) - 10000));
        }
    }

    private void AimMemory(in Instruction instruction)
    {
        int size = Math.Max(1, instruction.MemorySize.GetSize());
        ulong target = Data(size);
        if (_random.Percent(60))
        {
            target &= ~63UL;
        }

        ulong index = 0;
        Register scaled = instruction.MemoryIndex;
        if (scaled.IsGPR64() && scaled != instruction.MemoryBase)
        {
            index = (ulong)_random.Below(256);
            LoadImmediate(scaled, index);
            index *= (ulong)instruction.MemoryIndexScale;
        }

        if (instruction.MemoryBase.IsGPR64() && scaled != instruction.MemoryBase)
        {
            LoadImmediate(instruction.MemoryBase, target - index - instruction.MemoryDisplacement64);
        }
    }

    private ulong Data(int size)
    {
        int offset = _random.Below(10) switch
        {
            < 6 => _random.Below(LockStepMachine.DataPages * PageSize),
            < 9 => ((1 + _random.Below(LockStepMachine.DataPages)) * PageSize) - _random.Below(size + 2),
            _ => -_random.Below(size + 2),
        };
        return LockStepMachine.DataBases[_random.Below(LockStepMachine.DataBases.Length)] + (ulong)(long)offset;
    }

    private ulong Rip => Base + (ulong)_at;

    private static MemoryOperand Absolute(ulong address) => new(Register.None, Register.None, 1, (long)address, 8, false, Register.None);

    private void LoadImmediate(Register register, ulong value) => Emit(Instruction.Create(Code.Mov_r64_imm64, register, value));

    private void Emit(Instruction instruction)
    {
        using MemoryStream stream = new();
        if (!Encoder.Create(64, new StreamCodeWriter(stream)).TryEncode(instruction, Rip, out _, out _))
        {
            return;
        }

        byte[] bytes = stream.ToArray();
        if (_at + bytes.Length > Image.Length)
        {
            return;
        }

        bytes.CopyTo(Image, _at);
        _instructions.Add((Rip, bytes.Length));
        _at += bytes.Length;
    }
}
