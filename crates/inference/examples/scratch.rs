use greenlight_app::runtime::*;
use greenlight_domain::frame::*;
use greenlight_domain::training::Learner;
use greenlight_inference::Runtime;
use perpetual::objective::Objective;
use perpetual::*;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;
#[path = "../tests/it/synthetic.rs"]
mod synthetic;
use synthetic::*;
fn csv() -> (Frame, Vec<bool>) {
    let t = std::fs::read_to_string("/tmp/bank.csv").unwrap();
    let mut l = t.lines();
    let h: Vec<String> = l.next().unwrap().split(',').map(|s| s.trim_matches('"').into()).collect();
    let rows: Vec<Vec<String>> =
        l.map(|r| r.split(',').map(|s| s.trim_matches('"').to_string()).collect()).collect();
    let mut cols = vec![];
    for (j, n) in h.iter().enumerate() {
        if ["y", "date", "duration"].contains(&n.as_str()) {
            continue;
        }
        let num: Option<Vec<f64>> = rows.iter().map(|r| r[j].parse().ok()).collect();
        let c = match num {
            Some(v) => Column::Number(v),
            None => Column::Text(rows.iter().map(|r| Some(Arc::from(r[j].as_str()))).collect()),
        };
        cols.push((n.as_str(), c));
    }
    let y = rows.iter().map(|r| r[16] == "yes").collect();
    (frame(cols), y)
}
fn mat(f: &Frame, voc: &[Vec<String>]) -> Vec<f64> {
    let mut m = vec![];
    for (c, v) in f.columns().iter().zip(voc) {
        match c {
            Column::Number(x) => m.extend(x),
            Column::Text(t) => m.extend(t.iter().map(|t| {
                v.binary_search(&t.as_ref().unwrap().to_string()).map(|i| i as f64 + 1.0).unwrap_or(f64::NAN)
            })),
        }
    }
    m
}
fn ll(s: &[f64], y: &[bool]) -> f64 {
    s.iter().zip(y).map(|(p, y)| -(if *y { *p } else { 1.0 - p }).max(1e-15).ln()).sum::<f64>()
        / y.len() as f64
}
fn run(
    tag: &str,
    tr: &Frame,
    y: &[bool],
    te: &Frame,
    yt: &[bool],
    budget: f32,
    shards: usize,
    group: bool,
    cat: bool,
) {
    let voc: Vec<Vec<String>> = tr
        .columns()
        .iter()
        .map(|c| match c {
            Column::Number(_) => vec![],
            Column::Text(t) => {
                let mut v: Vec<String> = t.iter().flatten().map(|s| s.to_string()).collect();
                v.sort();
                v.dedup();
                v
            }
        })
        .collect();
    let cats: HashSet<usize> =
        voc.iter().enumerate().filter(|(_, v)| !v.is_empty()).map(|(i, _)| i).collect();
    let mut s = vec![0.0; te.rows()];
    let mut strain = vec![0.0; tr.rows()];
    let mut trees = vec![];
    let mut fitt = 0.0;
    let mut leaves = 0;
    let mt = mat(te, &voc);
    let mtr = mat(tr, &voc);
    for k in 0..shards {
        let idx: Vec<usize> = (0..tr.rows()).filter(|i| i % shards == k).collect();
        let f = tr.take(&idx);
        let m = mat(&f, &voc);
        let yy: Vec<f64> = idx.iter().map(|i| y[*i] as u8 as f64).collect();
        let mut b = PerpetualBooster::default()
            .set_objective(Objective::LogLoss)
            .set_budget(budget)
            .set_iteration_limit(Some(1000))
            .set_seed(1)
            .set_num_threads(Some(2))
            .set_memory_limit(Some(1.5))
            .set_categorical_features(if cat && !cats.is_empty() { Some(cats.clone()) } else { None });
        b.cfg.auto_class_weights = false;
        let g = vec![f.rows() as u64];
        let t = Instant::now();
        b.fit(&Matrix::new(&m, f.rows(), voc.len()), &yy, None, if group { Some(&g) } else { None }).unwrap();
        fitt += t.elapsed().as_secs_f64();
        trees.push(b.trees.len());
        leaves += b.trees.iter().map(|t| t.n_leaves).sum::<usize>();
        for (a, p) in s.iter_mut().zip(b.predict_proba(&Matrix::new(&mt, te.rows(), voc.len()), true, false))
        {
            *a += p / shards as f64
        }
        for (a, p) in
            strain.iter_mut().zip(b.predict_proba(&Matrix::new(&mtr, tr.rows(), voc.len()), true, false))
        {
            *a += p / shards as f64
        }
    }
    println!(
        "{tag} budget {budget} shards {shards} group {group} cat {cat}: fit {fitt:.1}s auc {:.4} (train {:.4}) ll {:.4} mean {:.4} share {:.4} trees {trees:?} leaves {leaves}",
        auc(&s, yt),
        auc(&strain, y),
        ll(&s, yt),
        mean(&s),
        share(yt)
    );
}
fn report(tag:&str, l:&Learner, tr:&Frame, y:&[bool], te:&Frame, yt:&[bool]){
  let t=Instant::now(); let m=match Runtime.train(l,tr,y){Ok(m)=>m,Err(e)=>{println!("{tag} {l:?} ERR {e}");return;}}; let el=t.elapsed();
  let t=Instant::now(); let model=Runtime.load(&m.artifact).unwrap(); let ld=t.elapsed();
  let t=Instant::now(); let s=model.score(te).unwrap(); let sc=t.elapsed();
  let strain=model.score(tr).unwrap();
  let ones:Vec<Frame>=(0..256).map(|i|te.take(&[i])).collect(); let mut best=std::time::Duration::MAX;
  for _ in 0..20{ let t=Instant::now(); for o in &ones{std::hint::black_box(model.score(std::hint::black_box(o)).unwrap());} best=best.min(t.elapsed()/256);}
  println!("{tag} {l:?}\n   train {el:?} load {ld:?} bytes {} auc {:.4} (train {:.4}) ll {:.4} mean {:.4} share {:.4} batch {:?}/row single(min of 20x256 rows) {best:?} {:?}", m.artifact.len(), auc(&s,yt), auc(&strain,y), ll(&s,yt), mean(&s), share(yt), sc/(te.rows() as u32), m.facts);
  let mut o:Vec<usize>=(0..s.len()).collect(); o.sort_by(|a,b|s[*a].total_cmp(&s[*b]));
  let d:Vec<String>=o.chunks(s.len()/10+1).map(|c|{let p=c.iter().map(|i|s[*i]).sum::<f64>()/c.len() as f64; let q=c.iter().filter(|i|yt[**i]).count() as f64/c.len() as f64; format!("{p:.3}/{q:.3}")}).collect();
  println!("   {}", d.join(" "));
}
fn main(){
  let gb=|budget,max_trees|Learner::GradientBoosting{budget,max_trees,seed:1}; let lr=Learner::LogisticRegression{alpha:1.0,max_iterations:200};
  let (f,y)=csv(); let n=f.rows(); let mut r=Random(1); let mut te=vec![];let mut tr=vec![]; for i in 0..n{ if r.uniform()<0.2{te.push(i)}else{tr.push(i)} }
  let pick=|v:&[usize]|v.iter().map(|i|y[*i]).collect::<Vec<_>>();
  let (ftr,ytr,fte,yte)=(f.take(&tr),pick(&tr),f.take(&te),pick(&te));
  report("bank",&lr,&ftr,&ytr,&fte,&yte);
  for bu in [0.5,1.0,1.5,2.0]{report("bank",&gb(bu,500),&ftr,&ytr,&fte,&yte);}
  report("bank-full",&gb(1.0,500),&f,&y,&f,&y);
  let (a,y)=bank(1,120000,-2.5); let (b,z)=bank(2,20000,-2.5);
  report("syn120k",&gb(0.5,500),&a,&y,&b,&z); report("syn120k",&gb(1.0,500),&a,&y,&b,&z);
  let (a,y)=bank(1,12000,-2.5); for bu in [0.5,1.0]{report("syn12k",&gb(bu,500),&a,&y,&b,&z);}
  if false { run("",&a,&y,&b,&z,0.5,1,false,true); }
}
